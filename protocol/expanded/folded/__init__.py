"""The folded query: one ciphertext expanded to selectors and encrypted bits, one pass over the table, folds."""

from __future__ import annotations
