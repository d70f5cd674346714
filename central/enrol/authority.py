"""The centre's certificate authority: one folder, EC P-256, no network.

    authority/ca.pem, ca.key            made at the first use; the key never leaves the folder
    authority/centre.pem, centre.key    what the centre itself shows to a broker elsewhere
    issue(name), issue_server(hosts)    certificates and keys for nodes and brokers
    revoked(serials)                    the list that the broker refuses (CRL)

Whoever has a certificate of this authority is in, as whom its common name says; nobody else is. So the common name is
checked as an identity before anything is signed, and what must not be mistaken for a node (the centre, a broker) has a
name that no node can have, or a certificate that is no client's.
"""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from central.embedded import CENTRE, WATCH
from protocols import files, topics

FOLDER: Final = "authority"
"""Below the centre's data folder."""
CA: Final = "ca.pem"
FIRST_DAY: Final = datetime(1970, 1, 1, tzinfo=UTC)
LAST_DAY: Final = datetime(2100, 1, 1, tzinfo=UTC)
"""Validity of the authority and of broker certificates, as nodes check them by a clock that may have lost its battery
or jumped decades ahead; a node trusts this one authority and no other, so an end date would protect nothing."""
NODE_LIFETIME: Final = timedelta(days=3650)
"""Of a node's certificate, checked by the broker's clock. Ten years: somebody climbs a pole to replace it, and what is
stolen earlier is revoked."""
CENTRE_LIFETIME: Final = timedelta(days=3650)
KICK_LIFETIME: Final = timedelta(minutes=5)
"""Of the certificate with which the centre itself takes over, and ends, the session of a revoked node."""
CLOCKS: Final = timedelta(days=1)
"""How far the clock of a broker on another machine may be behind."""
MAX_HOSTS: Final = 32
"""Names and addresses of one broker."""


class AuthorityError(ValueError):
    """An authority that cannot be used, or a name that it does not sign. The text says which and what to do."""


@dataclass(frozen=True)
class Issued:
    """A certificate with its key, PEM text, and its serial number in hexadecimal."""

    serial: str
    certificate: str
    key: str
    expires: datetime


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _usage(*, authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not authority, key_cert_sign=authority, crl_sign=authority, content_commitment=False,
        key_encipherment=False, data_encipherment=False, key_agreement=False, encipher_only=False, decipher_only=False,
    )  # fmt: skip


def _host(text: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(text.strip("[]")))
    except ValueError:
        pass
    try:
        topics.check_identity(text.removeprefix("*.")[:64])
        return x509.DNSName(text)
    except ValueError:
        raise AuthorityError(f"host {text[:200]!r}: not a host name or address") from None


class Authority:
    """The key and certificate of the authority in one folder. Made by `open_authority`."""

    def __init__(self, folder: Path, key: ec.EllipticCurvePrivateKey, certificate: x509.Certificate) -> None:
        self.folder, self._key, self._certificate = folder, key, certificate

    @property
    def pem(self) -> str:
        """The certificate that nodes and brokers trust."""
        return _pem(self._certificate)

    def issue(self, name: str, lifetime: timedelta = NODE_LIFETIME) -> Issued:
        """Return a client certificate for the node `name`. Raises TopicError where that is no identity."""
        topics.check_identity(name)
        return self._client(name, lifetime)

    def issue_watcher(self, number: int) -> Issued:
        """Return a client certificate for somebody who only looks on; each of them needs a number of their own."""
        return self._client(f"{WATCH}.{number}" if number else WATCH, NODE_LIFETIME)

    def issue_server(self, hosts: Sequence[str]) -> Issued:
        """Return a certificate for a broker that nodes reach as one of `hosts`. Raises AuthorityError."""
        if not 0 < len(hosts) <= MAX_HOSTS:
            raise AuthorityError(f"a broker's certificate names 1 to {MAX_HOSTS} hosts, not {len(hosts)}")
        names = x509.SubjectAlternativeName([_host(host) for host in dict.fromkeys(hosts)])
        builder = self._builder("wayside broker", FIRST_DAY, LAST_DAY)
        builder = builder.add_extension(names, critical=False)
        return self._sign(builder, ExtendedKeyUsageOID.SERVER_AUTH)

    def centre(self, worker: int = 0) -> tuple[Path, Path]:
        """Return the files of the certificate and key that the centre, or one of its workers (from 1), shows to a
        broker, made where they are not."""
        part = f".{worker}" if worker else ""
        certificate, key = self.folder / f"centre{part}.pem", self.folder / f"centre{part}.key"
        if not self._signed(certificate) or not key.exists():
            issued = self._client(f"{CENTRE}{part}", CENTRE_LIFETIME)
            files.write_atomic(key, issued.key.encode(), 0o600)
            files.write_atomic(certificate, issued.certificate.encode(), 0o600)
        return certificate, key

    def revoked(self, serials: Iterable[tuple[str, datetime]], now: datetime) -> str:
        """Return the list of revoked certificates (hexadecimal serial, when) as PEM.

        It never expires: a broker that had not heard from the centre for a while must not lock everybody out, which is
        what OpenSSL does with a list that is too old.
        """
        builder = x509.CertificateRevocationListBuilder(self._certificate.subject, now - CLOCKS, LAST_DAY)
        # Of several lists of one issuer, which a broker may hold after a reload, OpenSSL takes the newest.
        builder = builder.add_extension(x509.CRLNumber(int(now.timestamp() * 1000)), critical=False)
        for serial, at in serials:
            entry = x509.RevokedCertificateBuilder(int(serial, 16), at).build()
            builder = builder.add_revoked_certificate(entry)
        return builder.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()

    def _signed(self, file: Path) -> bool:
        """Whether `file` holds a certificate of this authority that is valid for a while."""
        try:
            held = x509.load_pem_x509_certificate(file.read_bytes())
            held.verify_directly_issued_by(self._certificate)
        except (OSError, ValueError, TypeError, InvalidSignature):
            return False
        return held.not_valid_after_utc > datetime.now(UTC) + timedelta(days=30)

    def _client(self, common: str, lifetime: timedelta) -> Issued:
        now = datetime.now(UTC).replace(microsecond=0)
        return self._sign(self._builder(common, now - CLOCKS, now + lifetime), ExtendedKeyUsageOID.CLIENT_AUTH)

    def _builder(self, common: str, first: datetime, last: datetime) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(_name(common))
            .issuer_name(self._certificate.subject)
            .serial_number(x509.random_serial_number())
            .not_valid_before(first)
            .not_valid_after(last)
        )

    def _sign(self, builder: x509.CertificateBuilder, usage: x509.ObjectIdentifier) -> Issued:
        key = ec.generate_private_key(ec.SECP256R1())
        issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        made = (
            builder.public_key(key.public_key())
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(authority=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
            .add_extension(issuer, critical=False)
            .sign(self._key, hashes.SHA256())
        )
        return Issued(f"{made.serial_number:x}", _pem(made), _key_pem(key).decode(), made.not_valid_after_utc)


def _make(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    key = ec.generate_private_key(ec.SECP256R1())
    name = _name("wayside authority")
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(FIRST_DAY)
        .not_valid_after(LAST_DAY)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(authority=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    # The certificate first: a key without one would be taken for a damaged authority, the other way round for none.
    files.write_atomic(folder / CA, _pem(certificate).encode(), 0o644)
    files.write_atomic(folder / "ca.key", _key_pem(key), 0o600)


def open_authority(data: Path) -> Authority:
    """Return the authority in the centre's folder `data`, made where there is none. Raises AuthorityError, OSError."""
    folder = data / FOLDER
    if not (folder / "ca.key").exists():
        _make(folder)
    try:
        key = serialization.load_pem_private_key((folder / "ca.key").read_bytes(), None)
        certificate = x509.load_pem_x509_certificate((folder / CA).read_bytes())
        certificate.verify_directly_issued_by(certificate)
    except (ValueError, TypeError, InvalidSignature, FileNotFoundError):
        raise AuthorityError(f"{folder}: the authority is damaged; restore its files from a backup") from None
    if not isinstance(key, ec.EllipticCurvePrivateKey) or key.public_key() != certificate.public_key():
        raise AuthorityError(f"{folder}: ca.key is not the key of {CA}; restore both from one backup")
    if (folder / "ca.key").stat().st_mode & 0o077:
        os.chmod(folder / "ca.key", 0o600)  # noqa: PTH101
    return Authority(folder, key, certificate)
