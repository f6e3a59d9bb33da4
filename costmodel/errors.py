"""Why a configuration cannot be had."""

from __future__ import annotations


class Incompatible(ValueError):
    """Each value may be asked for, but nothing holds them together; a sweep leaves such a combination out."""
