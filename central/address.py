"""Where a broker is and how to get in: an address, and the URL that names it.

    mqtt://[USER:PASSWORD@]HOST[:PORT]     a login, in the clear: for loopback
    mqtts://HOST[:PORT]                    TLS; without a user, by certificate (`ca`, `certificate`, `key`)
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit


class LinkError(Exception):
    """A broker that cannot be reached, refuses us, or a node that does not answer. The text says which and why."""


@dataclass(frozen=True)
class BrokerAddress:
    """Where a broker listens and as whom to log in."""

    host: str
    port: int
    username: str = ""
    password: str = ""
    tls: bool = False
    ca: Path | None = None
    """Authority to trust, and nothing else; the system's where None."""
    certificate: Path | None = None
    key: Path | None = None
    """What to show to a broker that knows its clients by certificate."""

    @property
    def url(self) -> str:
        """The same as a URL, credentials included."""
        login = f"{quote(self.username, safe='')}:{quote(self.password, safe='')}@" if self.username else ""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'mqtts' if self.tls else 'mqtt'}://{login}{host}:{self.port}"

    def context(self) -> ssl.SSLContext:
        """Return the TLS context. Raises LinkError where a file is unusable."""
        try:
            context = ssl.create_default_context(cafile=str(self.ca) if self.ca else None)
            if self.certificate is not None:
                context.load_cert_chain(self.certificate, self.key)
        except (OSError, ValueError) as error:
            raise LinkError(f"broker {self!r}: TLS files cannot be used ({error})") from None
        return context

    def __repr__(self) -> str:
        """Without the password, for logs."""
        return f"{self.host}:{self.port}"


def parse_url(url: str) -> BrokerAddress:
    """Return the address that ``mqtt[s]://[USER:PASSWORD@]HOST[:PORT]`` names. Raises LinkError."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port, parts = None, None, urlsplit("")
    if parts.scheme not in ("mqtt", "mqtts") or not host:
        raise LinkError("broker URL: not of the form mqtt://[USER:PASSWORD@]HOST[:PORT] or mqtts://...")
    tls = parts.scheme == "mqtts"
    login = unquote(parts.username or ""), unquote(parts.password or "")
    return BrokerAddress(host, port or (8883 if tls else 1883), *login, tls)
