"""The one-hot query on seeded ciphertexts; :mod:`costmodel.protocols.compact` says what is sent and why it decrypts."""
