"""The folded query: selectors and bits from one ciphertext, one pass over a table of rows, folds."""
