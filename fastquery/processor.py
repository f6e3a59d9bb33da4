"""The processor of this machine, as far as the system tells, and the bandwidth of its memory."""

from __future__ import annotations

import hashlib
import os
import platform
import re
import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

UNKNOWN = "unknown"
CPUINFO = Path("/proc/cpuinfo")
CACHES = Path("/sys/devices/system/cpu/cpu0/cache")
SVE = Path("/proc/sys/abi/sve_default_vector_length")
VECTORS = (("avx512f", 512), ("avx2", 256), ("avx", 256), ("sse2", 128), ("asimd", 128), ("neon", 128))
"""Bits of a vector register by the flag that announces it, the widest first."""
COPIES = 4


@dataclass(frozen=True)
class Processor:
    """A processor; a field that the system does not tell is ``unknown``.

    Attributes
    ----------
    name
        Model name. Virtual machines may hide all but the brand.
    revision
        Family, model and stepping.
    cores
        Logical cores that the system shows.
    caches
        Bytes of one core's caches by name, ``L1d``, ``L2``, ``L3``; empty where unknown.
    vector_bits
        Bits of the widest vector register; 0 where unknown.
    """

    name: str
    revision: str
    cores: int
    caches: tuple[tuple[str, int], ...]
    vector_bits: int

    @property
    def key(self) -> str:
        """A name for files: the model's name, and a digest of all else that tells processors apart.

        Examples
        --------
        >>> one = Processor("AMD EPYC", "family 25 model 1 stepping 1", 2, (("L2", 524288),), 256)
        >>> one.key.startswith("amd-epyc-")
        True
        """
        said = {**asdict(self), "cores": 0}  # a container may show fewer
        digest = hashlib.sha256(repr(sorted(said.items())).encode()).hexdigest()[:8]
        return f"{re.sub('[^a-z0-9]+', '-', self.name.lower()).strip('-')}-{digest}"

    def facts(self) -> dict[str, str]:
        """Every field as text, for a provenance.

        Examples
        --------
        >>> Processor("AMD EPYC", "unknown", 2, (), 0).facts()["caches"]
        'unknown'
        """
        return {
            "processor": self.name,
            "revision": self.revision,
            "caches": ", ".join(f"{name} {size // 1024} KiB" for name, size in self.caches) or UNKNOWN,
            "vector_bits": str(self.vector_bits or UNKNOWN),
        }


def this_processor() -> Processor:
    """The processor that this process runs on."""
    fields = cpu_fields(_lines(CPUINFO))
    revision = " ".join(
        f"{short} {fields[name]}"
        for short, name in (
            ("family", "cpu family"), ("model", "model"), ("stepping", "stepping"),
            ("implementer", "CPU implementer"), ("part", "CPU part"), ("revision", "CPU revision"),
        )
        if name in fields
    )  # fmt: skip
    name = fields.get("model name") or platform.processor() or platform.machine() or UNKNOWN
    return Processor(name, revision or UNKNOWN, os.cpu_count() or 1, _caches(CACHES), vector_bits(fields))


def cpu_fields(lines: Iterable[str]) -> dict[str, str]:
    """Fields of the first core of ``/proc/cpuinfo``.

    Examples
    --------
    >>> cpu_fields(["model name : AMD EPYC", "flags : sse2 avx2", "", "model name : another"])
    {'model name': 'AMD EPYC', 'flags': 'sse2 avx2'}
    """
    found: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(":")
        if colon:
            found.setdefault(name.strip(), value.strip())
    return found


def vector_bits(fields: Mapping[str, str]) -> int:
    """Bits of the widest vector register that the flags of a core announce; 0 where they announce none.

    Examples
    --------
    >>> vector_bits({"flags": "fpu sse2 avx avx2"}), vector_bits({"Features": "fp asimd"}), vector_bits({})
    (256, 128, 0)
    """
    flags = {*fields.get("flags", "").split(), *fields.get("Features", "").split()}
    if "sve" in flags and (stated := _lines(SVE)):
        return 8 * int(stated[0])
    return next((bits for flag, bits in VECTORS if flag in flags), 0)


def memory_bytes_per_s(processor: Processor) -> float:
    """Bytes that one core reads and writes a second when it copies what no cache holds, the best of a few copies."""
    largest = max((size for _, size in processor.caches), default=32 * 2**20)
    source = np.ones(min(max(2 * largest, 2**25), 2**28) // 8)
    target = np.zeros_like(source)
    seconds = []
    for _ in range(COPIES):
        start = time.process_time()
        np.copyto(target, source)
        seconds.append(time.process_time() - start)
    return 2 * source.nbytes / min(seconds)


def _caches(folder: Path) -> tuple[tuple[str, int], ...]:
    found = []
    for index in sorted(folder.glob("index*")):
        level, kind, size = (" ".join(_lines(index / name)) for name in ("level", "type", "size"))
        stated = re.fullmatch(r"(\d+)([KM])", size)
        if stated and kind in ("Data", "Unified"):
            unit = {"K": 2**10, "M": 2**20}[stated[2]]
            found.append((f"L{level}{'d' if kind == 'Data' else ''}", int(stated[1]) * unit))
    return tuple(found)


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return []
