"""The one-hot query on seeded ciphertexts, in exactly as many bits as it needs."""
