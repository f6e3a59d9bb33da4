"""The cost model: ciphertexts, bytes, work, noise, security and latency from parameters alone."""
