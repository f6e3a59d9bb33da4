"""Engines: the kernels under the protocol's state machine (encrypt, multiply-accumulate, pack, mask, decrypt)."""
