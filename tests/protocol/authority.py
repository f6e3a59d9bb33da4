"""Certificates for tests, made when they run."""

from __future__ import annotations

import datetime
import ipaddress
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

DAY = datetime.timedelta(days=1)


class Authority:
    """An authority of its own, and the certificates that it signs, as files of a folder."""

    def __init__(self, folder: Path, name: str) -> None:
        self._folder = folder
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self._key = ec.generate_private_key(ec.SECP256R1())
        made = self._builder(self._name, self._key.public_key(), False).add_extension(
            x509.BasicConstraints(ca=True, path_length=0), critical=True
        )
        self.certificate = self._write(f"{name}.pem", made.sign(self._key, hashes.SHA256()))

    def signed(
        self, name: str, host: str | None = None, expired: bool = False, common: str | None = None
    ) -> tuple[Path, Path]:
        """A certificate of a name, for a host's address if there is one, and its key.

        The name is the common name, or an alternative one beside another common name.
        """
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common or name)])
        builder = self._builder(subject, key.public_key(), expired)
        names: list[x509.GeneralName] = [] if host is None else [x509.IPAddress(ipaddress.ip_address(host))]
        if common is not None:
            names.append(x509.DNSName(name))
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        file = f"{name}-{sum(1 for _ in self._folder.iterdir())}"
        path = self._folder / f"{file}.key"
        path.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        return self._write(f"{file}.pem", builder.sign(self._key, hashes.SHA256())), path

    def _builder(self, subject: x509.Name, key: ec.EllipticCurvePublicKey, expired: bool) -> x509.CertificateBuilder:
        now = datetime.datetime.now(datetime.timezone.utc)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - 3 * DAY)
            .not_valid_after(now - DAY if expired else now + DAY)
        )

    def _write(self, name: str, certificate: x509.Certificate) -> Path:
        path = self._folder / name
        path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        return path
