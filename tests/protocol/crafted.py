"""A client of TLS 1.3 that sends records of its own making once the handshake is over."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

ALERT, HANDSHAKE, APPLICATION_DATA = 21, 22, 23
KEY_UPDATE, KEY_UPDATE_ASKED = b"\x18\0\0\1\0", b"\x18\0\0\1\1"


class Crafted:
    """A connection whose handshake is done, by keys that the library logs.

    Parameters
    ----------
    connection
        To a server of TLS.
    context
        Of the client.
    log
        A file for the keys.
    """

    def __init__(self, connection: socket.socket, context: ssl.SSLContext, log: Path) -> None:
        context.keylog_filename = str(log)
        self.secured = context.wrap_socket(connection, server_hostname="127.0.0.1")
        assert self.secured.cipher()[0] == "TLS_AES_256_GCM_SHA384"
        (line,) = (line for line in log.read_text().splitlines() if line.startswith("CLIENT_TRAFFIC_SECRET_0"))
        self._use(bytes.fromhex(line.split()[2]))

    def record(self, kind: int, content: bytes, padding: int = 0) -> bytes:
        """An encrypted record."""
        inner = content + bytes([kind]) + bytes(padding)
        header = b"\x17\x03\x03" + (len(inner) + 16).to_bytes(2, "big")
        nonce = (int.from_bytes(self._start, "big") ^ self._sequence).to_bytes(12, "big")
        self._sequence += 1
        return header + self._cipher.encrypt(nonce, inner, header)

    def key_update(self, asked: bool = False, padding: int = 0) -> bytes:
        """A record that changes the keys, those of the server too where it is asked."""
        made = self.record(HANDSHAKE, KEY_UPDATE_ASKED if asked else KEY_UPDATE, padding)
        self._use(self._expanded("traffic upd", 48))
        return made

    def flood(self, asked: bool = False) -> Iterator[bytes]:
        """Key updates without an end."""
        while True:
            yield b"".join(self.key_update(asked) for _ in range(64))

    def _use(self, secret: bytes) -> None:
        self._secret, self._sequence = secret, 0
        self._cipher, self._start = AESGCM(self._expanded("key", 32)), self._expanded("iv", 12)

    def _expanded(self, label: str, length: int) -> bytes:
        named = b"tls13 " + label.encode()
        info = length.to_bytes(2, "big") + bytes([len(named)]) + named + b"\0"
        return HKDFExpand(hashes.SHA384(), length, info).derive(self._secret)
