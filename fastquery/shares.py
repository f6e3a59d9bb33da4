"""Shares of lookups in a folder, one file a lookup."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from protocol.share import Share


def share_path(folder: Path, share: Share) -> Path:
    """Where a party's share of a lookup is kept in a folder."""
    return folder / f"{share.session}-{share.lookup:06d}-{share.party}.npz"


def keep(folder: Path, share: Share) -> None:
    """Save a share in a folder, which is made if it is not there."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    share.save(share_path(folder, share))
