"""The centre's authority: what it signs, what it refuses to sign, and what is left on disk."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID

from central.enrol import authority as module
from central.enrol.authority import Authority, AuthorityError, open_authority
from protocols.topics import TopicError


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    """A new authority."""
    return open_authority(tmp_path)


def read(text: str) -> x509.Certificate:
    return x509.load_pem_x509_certificate(text.encode())


def test_open__makes_it_once_and_keeps_the_key_private(tmp_path: Path) -> None:
    made = open_authority(tmp_path)
    assert open_authority(tmp_path).pem == made.pem
    assert (made.folder / "ca.key").stat().st_mode & 0o077 == 0
    assert made.folder.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(("file", "text"), [("ca.key", "x"), ("ca.pem", "x"), ("ca.pem", None)])
def test_open__damaged_is_named(authority: Authority, tmp_path: Path, file: str, text: str | None) -> None:
    (authority.folder / file).unlink() if text is None else (authority.folder / file).write_text(text)
    with pytest.raises(AuthorityError, match="damaged"):
        open_authority(tmp_path)


def test_open__key_of_another_is_named(authority: Authority, tmp_path: Path) -> None:
    other = open_authority(tmp_path / "other")
    (authority.folder / "ca.key").write_bytes((other.folder / "ca.key").read_bytes())
    with pytest.raises(AuthorityError, match="not the key"):
        open_authority(tmp_path)


def test_issue__names_the_node_and_nothing_else(authority: Authority) -> None:
    issued = authority.issue("gate-1")
    held = read(issued.certificate)
    held.verify_directly_issued_by(read(authority.pem))
    assert held.subject.rfc4514_string() == "CN=gate-1"
    assert f"{held.serial_number:x}" == issued.serial
    usage = held.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usage) == [ExtendedKeyUsageOID.CLIENT_AUTH]
    assert not held.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    key = held.public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)
    assert key.curve.name == "secp256r1"
    assert held.not_valid_after_utc - datetime.now(UTC) > module.NODE_LIFETIME - timedelta(days=1)


@pytest.mark.parametrize("name", ["", "+", "#", "a/b", "$SYS", "@centre", "a b", "a\n", "a\0", "ä", "-a", "a" * 65])
def test_issue__refuses_what_is_no_identity(authority: Authority, name: str) -> None:
    with pytest.raises(TopicError):
        authority.issue(name)


def test_issue_server__holds_whatever_the_clock_of_a_node_says(authority: Authority) -> None:
    for held in (read(authority.issue_server(["broker.example", "10.0.0.5", "::1"]).certificate), read(authority.pem)):
        assert held.not_valid_before_utc <= datetime(1970, 1, 1, tzinfo=UTC)
        assert held.not_valid_after_utc > datetime(2038, 1, 20, tzinfo=UTC)


@pytest.mark.parametrize("hosts", [[], ["a b"], ["a/b"], [""], ["x"] * 33])
def test_issue_server__refuses(authority: Authority, hosts: list[str]) -> None:
    with pytest.raises(AuthorityError):
        authority.issue_server(hosts)


def test_centre__is_made_once_and_no_node_can_be_it(authority: Authority) -> None:
    certificate, key = authority.centre()
    text = certificate.read_text()
    assert read(text).subject.rfc4514_string() == "CN=@centre"
    assert key.stat().st_mode & 0o077 == 0
    assert authority.centre()[0].read_text() == text


def test_revoked__lists_serials_and_never_expires(authority: Authority) -> None:
    now = datetime.now(UTC)
    issued = authority.issue("n1")
    held = x509.load_pem_x509_crl(authority.revoked([(issued.serial, now)], now).encode())
    assert held.is_signature_valid(read(authority.pem).public_key())  # type: ignore[arg-type]
    assert held.get_revoked_certificate_by_serial_number(read(issued.certificate).serial_number) is not None
    assert held.next_update_utc is not None
    assert held.next_update_utc.year >= 2100
