"""What the clients and servers of expanded queries have in common: rings, keys, messages, answers."""

from __future__ import annotations
