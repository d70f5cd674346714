"""TLS to the broker, with this node's certificate; what is wrong with it in one line."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from cryptography import x509

from edge.link import LinkError

EXPIRED: Final = 10
NOT_YET: Final = 9
NAME_DIFFERS: Final = (62, 63, 64)
"""OpenSSL's numbers (X509_V_ERR_...) of what is wrong with the broker's certificate."""


class ClosingSocket(ssl.SSLSocket):
    """Closes itself when the handshake fails: paho forgets such a socket without closing it."""

    def do_handshake(self, block: bool = False) -> None:
        """Shake hands. Raises OSError."""
        try:
            super().do_handshake(block)
        except (OSError, ValueError):
            self.close()
            raise


@dataclass(frozen=True)
class Tls:
    """Files of the TLS connection, PEM; `ca` None means the system's authorities. One file may hold all three."""

    ca: Path | None = None
    cert: Path | None = None
    key: Path | None = None
    server_name_check: bool = True

    def context(self) -> ssl.SSLContext:
        """Return the context, TLS 1.2 or newer. Raises LinkError where a file is unusable."""
        for name, path in (("ca", self.ca), ("cert", self.cert), ("key", self.key)):
            _readable(name, path)
        try:
            context = ssl.create_default_context(cafile=str(self.ca) if self.ca else None)
        except (OSError, ValueError):
            raise LinkError(f"mqtt.tls.ca: {self.ca} holds no certificate of an authority (PEM)") from None
        context.sslsocket_class = ClosingSocket
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.check_hostname = self.server_name_check
        if self.cert:
            try:
                context.load_cert_chain(self.cert, self.key, password="")
            except (OSError, ValueError) as error:
                raise LinkError(_own_problem(error, self.cert, self.key)) from None
        return context

    def expired(self, now: datetime) -> str:
        """Return what the clock says against this node's certificate, or nothing."""
        try:
            found = x509.load_pem_x509_certificate(self.cert.read_bytes()) if self.cert else None
        except (OSError, ValueError):
            return ""
        if found is None:
            return ""
        first, last = found.not_valid_before_utc, found.not_valid_after_utc
        if last < now:
            return f"mqtt.tls.cert {self.cert} expired on {last:%Y-%m-%d}"
        if first > now:
            return f"mqtt.tls.cert {self.cert} is valid from {first:%Y-%m-%d} on; is the clock right?"
        return ""


def _readable(name: str, path: Path | None) -> None:
    if path is None:
        return
    try:
        with path.open("rb"):
            pass
    except OSError as error:
        raise LinkError(f"mqtt.tls.{name}: {path} cannot be read ({error.strerror})") from None


def _own_problem(error: Exception, cert: Path, key: Path | None) -> str:
    reason = getattr(error, "reason", None) or ""
    if reason == "KEY_VALUES_MISMATCH":
        return f"mqtt.tls.key: {key or cert} is not the key of {cert}; get both again"
    if b"ENCRYPTED" in (key or cert).read_bytes():
        return f"mqtt.tls.key: {key or cert} is protected by a password; a node needs one without, mode 0600"
    return f"mqtt.tls.cert: {cert} with key {key or cert} cannot be used ({reason or error}); both must be PEM"


def explain(error: Exception, tls: Tls | None, host: str) -> str:
    """Return in words why a connection to `host` could not be made."""
    if isinstance(error, ssl.SSLCertVerificationError):
        code = error.verify_code
        if code == EXPIRED:
            return "the broker's certificate has expired; renew it there, or set this machine's clock"
        if code == NOT_YET:
            return "the broker's certificate is not valid yet; is this machine's clock right?"
        if code in NAME_DIFFERS:
            return f"the broker's certificate does not name {host}; use the name that it has in mqtt.host"
        return (
            f"the broker's certificate is not signed by {tls.ca if tls and tls.ca else 'an authority of this system'} "
            f"({error.verify_message}); check mqtt.tls.ca"
        )
    if isinstance(error, ssl.SSLError):
        return f"TLS failed ({error.reason or error}); is this its TLS port?{own(tls)}"
    return f"{error}; is it running, and the address right?"


def own(tls: Tls | None) -> str:
    """Return what may be wrong with this node's certificate, as the end of a sentence."""
    if tls is None or tls.cert is None:
        return "" if tls is None else "; it may want a certificate of this node (mqtt.tls.cert)"
    problem = tls.expired(datetime.now(UTC))
    return f"; {problem}" if problem else f"; was {tls.cert} revoked, or not signed by the broker's authority?"
