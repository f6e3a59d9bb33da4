"""The bucketed query of a prompt: queries of the buckets of a table, and of the shares that the server has of them."""

from __future__ import annotations
