"""The one-hot query on seeded ciphertexts; :mod:`costmodel.compact.ledger` says what is sent and why it decrypts."""
