"""Kernels over uint64 residue arrays: transforms, encryption, key switching, packing, modulus switching."""
