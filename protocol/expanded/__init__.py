"""What expanded queries have in common: clients and servers, rings, keys, messages, answers, and the kernels they run on."""

from __future__ import annotations
