"""What can go wrong between the parties."""

from __future__ import annotations


class ProtocolError(Exception):
    """A message of the peer, or its absence, that ends the session; the text says what was wrong."""


class PeerGone(ProtocolError):
    """The peer has closed the connection, or it was lost."""
