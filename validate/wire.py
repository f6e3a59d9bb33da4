"""Bytes that a process has written to a TCP socket, by the kernel's account of the connection, and a certificate."""

from __future__ import annotations

import socket
import ssl
import struct
import subprocess
from pathlib import Path

from protocol.errors import ProtocolError

NOT_SENT = struct.Struct("<144xI")
"""``tcpi_notsent_bytes`` of Linux' ``struct tcp_info``: written, and not on the line yet."""
SENT = struct.Struct("<200xQQ")
"""``tcpi_bytes_sent`` and ``tcpi_bytes_retrans`` (Linux 4.19)."""


def written_bytes(connection: socket.socket) -> int:
    """Bytes that this end of a TCP connection has been given to send, since it was opened.

    Raises
    ------
    ProtocolError
        If the kernel keeps no such account.
    """
    try:
        told = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, SENT.size)
        (waiting,), (sent, again) = NOT_SENT.unpack_from(told), SENT.unpack_from(told)
    except (AttributeError, OSError, struct.error) as error:
        raise ProtocolError(f"bytes of TLS are counted by Linux 4.19 or later, which this is not: {error}") from None
    return int(sent - again + waiting)


def der_bytes(certificate: Path) -> int:
    """Bytes of a certificate (PEM) as it travels."""
    return len(ssl.PEM_cert_to_DER_cert(certificate.read_text(encoding="ascii")))


def self_signed(folder: Path) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1 that signs itself, and its key: P-256, made by the command ``openssl``.

    Raises
    ------
    ProtocolError
        If the command is not there, or fails.
    """
    certificate, key = folder / "server.pem", folder / "server.key"
    words = "-x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=fastquery"
    named = ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(certificate)]
    try:
        subprocess.run(["openssl", "req", *words.split(), *named], check=True, capture_output=True, text=True)
    except OSError as error:
        raise ProtocolError(f"a session over TLS needs the command openssl for its certificate: {error}") from None
    except subprocess.CalledProcessError as error:
        raise ProtocolError(f"openssl makes no certificate: {error.stderr.strip()}") from None
    return certificate, key
