"""Files that have to be the ones that were measured."""

from __future__ import annotations

from functools import cache
from hashlib import sha256
from pathlib import Path


def require_digest(path: Path, digest: str, purpose: str) -> None:
    """Raise a ValueError unless a file has the SHA-256 digest."""
    found = _digest(path, path.stat().st_mtime_ns)
    if found != digest:
        raise ValueError(f"{purpose}: {str(path)!r} has the SHA-256 {found}; {digest} is expected")


@cache
def _digest(path: Path, modified_ns: int) -> str:
    del modified_ns  # part of the key: a file that was replaced is read again
    hashed = sha256()
    with path.open("rb") as file:
        while part := file.read(1 << 20):
            hashed.update(part)
    return hashed.hexdigest()
