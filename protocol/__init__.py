"""The protocol for real: two parties, one socket, ciphertexts of OpenFHE's rings, and a measured ledger."""
