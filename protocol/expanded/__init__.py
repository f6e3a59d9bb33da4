"""What expanded queries have in common: clients, servers, rings, keys, messages, answers and their kernels."""

from __future__ import annotations
