"""What can go wrong between the parties."""

from __future__ import annotations

import os
import traceback


class ProtocolError(Exception):
    """A message of the peer, or its absence, that ends the session; the text says what was wrong."""


class PeerGone(ProtocolError):
    """The peer has closed the connection, or it was lost."""


def place_of(error: Exception) -> str:
    """Where an error was raised, without a word of what it says, which may hold anything."""
    frames = traceback.extract_tb(error.__traceback__)
    where = f" at {os.path.basename(frames[-1].filename)}:{frames[-1].lineno}" if frames else ""
    return f"{type(error).__name__}{where}"
