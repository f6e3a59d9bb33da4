"""Figures as a person reads them: bytes, seconds and rates in three or four digits."""

from __future__ import annotations


def bytes_text(size_bytes: float) -> str:
    """Bytes in three digits: 2.81 kB, 136 kB, 16.7 MB."""
    for unit, factor in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if size_bytes >= 0.9995 * factor:
            return f"{size_bytes / factor:.3g} {unit}"
    return f"{size_bytes:.0f} B"


def seconds_text(seconds: float) -> str:
    """Seconds in three digits: 14.2 ms, 3.51 s."""
    if seconds >= 0.9995:
        return f"{seconds:.3g} s"
    return f"{1e3 * seconds:.3g} ms" if seconds >= 0.9995e-3 else f"{1e6 * seconds:.3g} µs"


def rate_text(bit_per_s: float) -> str:
    """A rate as links spell it: 44Mbit/s."""
    for unit, factor in (("Gbit/s", 1e9), ("Mbit/s", 1e6), ("kbit/s", 1e3)):
        if bit_per_s >= factor:
            return f"{bit_per_s / factor:.4g}{unit}"
    return f"{bit_per_s:.4g}bit/s"
