"""Bytes of ciphertexts and keys in the formats of existing libraries."""
