"""What a party has written to its socket, and the certificate of a session over TLS."""

from __future__ import annotations

import socket
import ssl
from pathlib import Path

import pytest

from protocol.errors import ProtocolError
from validate.wire import der_bytes, self_signed, written_bytes


def test_every_byte_that_was_written_counts_whether_or_not_it_was_read() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        socket.create_connection(listener.getsockname()) as near,
        listener.accept()[0] as far,
    ):
        near.sendall(b"x" * 100_000)
        assert (written_bytes(near), written_bytes(far)) == (100_000, 0)
        far.sendall(b"y" * 7)
        assert (written_bytes(near), written_bytes(far)) == (100_000, 7)


def test_a_socket_of_another_kind_is_refused() -> None:
    near, far = socket.socketpair()
    with near, far, pytest.raises(ProtocolError, match="Linux"):
        written_bytes(near)


def test_a_certificate_is_of_the_loopback_address_and_trusts_itself(tmp_path: Path) -> None:
    certificate, key = self_signed(tmp_path)
    context = ssl.create_default_context(cafile=str(certificate))
    context.load_cert_chain(certificate, key)
    assert len(context.get_ca_certs(binary_form=True)[0]) == der_bytes(certificate)
    assert "PRIVATE KEY" in key.read_text()


def test_a_machine_without_openssl_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ProtocolError, match="needs the command openssl"):
        self_signed(tmp_path)


def test_a_folder_that_takes_no_certificate_is_told(tmp_path: Path) -> None:
    with pytest.raises(ProtocolError, match="openssl makes no certificate"):
        self_signed(tmp_path / "none")
