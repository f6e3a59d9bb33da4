"""Queries that are one ciphertext, expanded by the server into one ciphertext a coefficient."""
