"""Kernels over uint64 residue arrays: transforms, encryption, key switching, packing, modulus switching."""

from __future__ import annotations

import os

# Read when OpenFHE is loaded: with more threads its operations on small ciphertexts take fifty times longer.
os.environ.setdefault("OMP_NUM_THREADS", "1")
