"""TLS 1.3 for both parties, by the standard library, with certificates of either side.

Examples
--------
A server that talks to clients of one authority whose certificate names them ``reader``::

    Tls.server(Path("server.pem"), Path("server.key"), Path("clients.pem"), ("reader",))
"""

from __future__ import annotations

import ipaddress
import socket
import ssl
from collections.abc import Collection
from pathlib import Path
from typing import Any

from protocol.errors import ProtocolError
from protocol.secured import SecuredSocket


class Tls:
    """A server's side: its certificate, and whom it talks to.

    Parameters
    ----------
    context
        Of the standard library.
    allowed
        Names of a client's certificate, one of which it must have; any if there are none.
    """

    def __init__(self, context: ssl.SSLContext, allowed: Collection[str] = ()) -> None:
        self.context = context
        self._allowed = frozenset(allowed)

    @classmethod
    def server(cls, certificate: Path, key: Path, clients: Path | None = None, allowed: Collection[str] = ()) -> Tls:
        """From files.

        Parameters
        ----------
        certificate, key
            The server's, PEM; the certificate with its chain.
        clients
            Certificates of the authorities, one of which must have signed a client's; no certificate is asked for
            without.
        allowed
            See the class.

        Raises
        ------
        ValueError
            If a file is none of these, or names are allowed where no certificate is asked for.
        """
        if allowed and clients is None:
            raise ValueError(f"allow is {sorted(allowed)}; without client-ca no client shows a certificate")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        # Sessions resume by a new handshake alone: nothing is kept of those that are over.
        context.num_tickets = 0
        _load(context, certificate, key)
        if clients is not None:
            context.verify_mode = ssl.CERT_REQUIRED
            _trust(context, clients, "client-ca")
        return cls(context, allowed)

    def secured(self, connection: socket.socket) -> SecuredSocket:
        """A client's connection, whose handshake is to come."""
        return SecuredSocket(connection, self.context)

    def allows(self, connection: socket.socket) -> bool:
        """Whether the peer's certificate has an allowed name."""
        return not self._allowed or not self._allowed.isdisjoint(_names(connection))

    def name_of(self, connection: socket.socket) -> str | None:
        """The name by which a peer is known: that which is allowed, or the first of its certificate."""
        names = _names(connection)
        return next((name for name in names if name in self._allowed), names[0] if names else None)


def client_context(authorities: Path, certificate: Path | None = None, key: Path | None = None) -> ssl.SSLContext:
    """A client's side, from files.

    Parameters
    ----------
    authorities
        Certificates, one of which must have signed the server's.
    certificate, key
        The client's own, where the server asks for one.

    Raises
    ------
    ValueError
        If a file is none of these, or one of a pair is missing.
    """
    if (certificate is None) != (key is None):
        raise ValueError("tls-cert and tls-key go together: one of them is missing")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    _trust(context, authorities, "tls-ca")
    if certificate is not None and key is not None:
        _load(context, certificate, key)
    return context


def server_tls(
    tls_cert: Path | None, tls_key: Path | None, client_ca: Path | None = None, allow: Collection[str] = ()
) -> Tls | None:
    """A server's side by the words of ``serve``; None, in the clear, without a certificate.

    Raises
    ------
    ValueError
        If the words do not go together, or a file is not what it should be.
    """
    if tls_cert is None and tls_key is None:
        if client_ca or allow:
            raise ValueError("client-ca and allow go with tls-cert and tls-key, which are missing")
        return None
    if tls_cert is None or tls_key is None:
        raise ValueError("tls-cert and tls-key go together: one of them is missing")
    return Tls.server(tls_cert, tls_key, client_ca, allow)


def client_tls(tls_ca: Path | None, tls_cert: Path | None = None, tls_key: Path | None = None) -> ssl.SSLContext | None:
    """A client's side by the words of ``query``; None, in the clear, without authorities.

    Raises
    ------
    ValueError
        If the words do not go together, or a file is not what it should be.
    """
    if tls_ca is None:
        if tls_cert or tls_key:
            raise ValueError("tls-cert and tls-key go with tls-ca, which is missing: nothing would be encrypted")
        return None
    return client_context(tls_ca, tls_cert, tls_key)


def require_tls(listener: socket.socket, listen: str, tls: Tls | None) -> None:
    """Hold a socket that others than this machine reach to TLS.

    Raises
    ------
    ValueError
        If it would speak in the clear.
    """
    if tls is None and not ipaddress.ip_address(listener.getsockname()[0]).is_loopback:
        raise ValueError(f"listen is {listen!r}, which others reach; give tls-cert and tls-key, or say --plaintext")


def secured(connection: socket.socket, context: ssl.SSLContext, host: str | None = None) -> SecuredSocket:
    """A connection, secured within its timeout: a server's, or a client's, to whom the server must prove its host.

    Raises
    ------
    ProtocolError
        If the peer is not who it should be, or speaks no TLS.
    """
    try:
        connection = shaking = SecuredSocket(connection, context, host)
        shaking.shake_hands()
        return shaking
    except (OSError, ValueError) as error:
        connection.close()
        raise ProtocolError(handshake_words(error)) from None


def handshake_words(error: Exception) -> str:
    """One line of what went wrong between two parties that speak TLS."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"TLS: the peer's certificate is refused: {error.verify_message or error.reason}"
    if isinstance(error, ssl.SSLError):
        reason = (error.reason or "connection ended").replace("_", " ").lower()
        hint = "; does the peer speak TLS 1.3?" if "version" in reason or "record" in reason or "eof" in reason else ""
        return f"TLS: {reason}{hint}"
    return f"TLS: connection lost: {error}"


def _load(context: ssl.SSLContext, certificate: Path, key: Path) -> None:
    try:
        # A key with a passphrase is refused, not asked for: nobody sits at a server.
        context.load_cert_chain(certificate, key, password=lambda: "")
    except (OSError, ValueError) as error:
        raise ValueError(
            f"tls-cert is {str(certificate)!r}, tls-key {str(key)!r}; they must be a certificate and its key, PEM "
            f"without a passphrase ({_short(error)})"
        ) from None


def _trust(context: ssl.SSLContext, authorities: Path, option: str) -> None:
    try:
        context.load_verify_locations(authorities)
    except (OSError, ValueError) as error:
        raise ValueError(f"{option} is {str(authorities)!r}; it must be certificates, PEM ({_short(error)})") from None


def _short(error: Exception) -> str:
    reason = error.reason if isinstance(error, ssl.SSLError) else getattr(error, "strerror", None)
    return str(reason or error).replace("_", " ").lower()


def _names(connection: socket.socket) -> list[str]:
    """Names that a peer's certificate is made out to; its common name where it has no alternative ones of any kind.

    An authority that vouches for alternative names, if only for addresses, may have left the common name to whoever
    asked for the certificate.
    """
    certificate: Any = connection.getpeercert() if isinstance(connection, SecuredSocket) else None
    if not certificate:
        return []
    alternatives: Any = certificate.get("subjectAltName", ())
    hosts = [str(value) for kind, value in alternatives if kind in ("DNS", "email", "URI")]
    subject: Any = certificate.get("subject", ())
    return hosts if alternatives else [str(value) for part in subject for kind, value in part if kind == "commonName"]
