"""Looking up a camera's name without hanging on a name server that does not answer.

    host -> one look-up per host, on a thread of its own -> every camera that waits for it, each for LOOKUP_S at most

The system's look-up cannot be interrupted and takes up to half a minute, so a camera never makes it itself. A look-up
that hangs goes on; whoever tries again waits for that one, so that threads do not pile up.
"""

from __future__ import annotations

import ipaddress
import socket
import threading
from collections.abc import Callable
from typing import Any, Final
from urllib.parse import urlsplit

from edge.sources import SourceError

LOOKUP_S: Final = 3.0
"""How long a camera waits for its name: a name server on the way answers within one, the next try follows soon."""
Lookup = Callable[[str, None], Any]


class Names:
    """Look-ups under way, by host."""

    def __init__(self, lookup: Lookup = socket.getaddrinfo) -> None:
        self._lookup = lookup
        self._pending: dict[str, _Answer] = {}
        self._lock = threading.Lock()

    def check(self, host: str, timeout_s: float = LOOKUP_S) -> None:
        """Return when `host` has an address. Raises SourceError where it has none or nobody answers in time."""
        if not host or _is_address(host):
            return
        with self._lock:
            answer = self._pending.get(host)
            if answer is None:
                answer = self._pending[host] = _Answer()
                threading.Thread(target=self._ask, args=(host, answer), name=f"name-{host}", daemon=True).start()
        if not answer.ready.wait(timeout_s):
            raise SourceError(f"{host}: the name server does not answer; is the network up? An address needs no name")
        if answer.error is not None:
            raise SourceError(f"{host}: there is no such name; is it spelt right? ({answer.error})")

    def _ask(self, host: str, answer: _Answer) -> None:
        try:
            self._lookup(host, None)
        except (OSError, UnicodeError) as error:
            answer.error = getattr(error, "strerror", None) or str(error)
        finally:
            with self._lock:
                del self._pending[host]
            answer.ready.set()


class _Answer:
    def __init__(self) -> None:
        self.ready = threading.Event()
        self.error: str | None = None


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True


def host_of(address: str) -> str:
    """Return the host in a URL, empty where it cannot be told."""
    try:
        return urlsplit(address).hostname or ""
    except ValueError:
        return ""


NAMES: Final = Names()
"""That of this process."""
