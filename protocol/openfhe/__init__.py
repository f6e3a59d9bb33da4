"""Products through OpenFHE's own API: context, keys, ciphertexts as they travel, and the engines on them."""
