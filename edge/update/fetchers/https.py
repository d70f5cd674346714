"""From a folder that a web server gives out: ``<url>/trust/...`` and ``<url>/packs/<address>.wpack``.

For large fleets: any static server or cache does, as everything is signed. Plain HTTP is refused all the same, except
from this very machine, because it would show everybody which packs a node runs. Redirects are not followed.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import urllib3

from edge.update import UpdateError
from edge.update.fetchers import FOLDER, part_path
from protocols.messages import Chunk
from protocols.trust import target_path
from protocols.trust.verify import Approved, MissingError, UnreachableError

BLOCK: Final = 256 * 1024
TIMEOUT_S: Final = 20.0
"""Seconds for a connection and between two pieces."""
AGAIN_S: Final = 5.0
"""Between tries of an archive that broke off."""
LOCAL: Final = ("127.0.0.1", "::1", "localhost")
_GONE: Final = (403, 404, 410)


class HttpsFetcher:
    """Fetches below `url`. `ca` is the file of the authority that the server's certificate must come from."""

    def __init__(self, data: Path, url: str, ca: Path | None = None, again: float = AGAIN_S) -> None:
        parts = urlsplit(url)
        if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in LOCAL):
            raise ValueError(f"{url}: give an https:// address")
        self._data, self._base, self._again = data, url.rstrip("/"), again
        self._pool = urllib3.PoolManager(
            ca_certs=str(ca) if ca else None, timeout=urllib3.Timeout(TIMEOUT_S), retries=False
        )

    def close(self) -> None:
        """Close what is open."""
        self._pool.clear()

    def take(self, chunk: Chunk) -> None:
        """Ignore an answer over the link: nothing was asked for there."""

    def _get(self, name: str, offset: int = 0) -> urllib3.BaseHTTPResponse:
        try:
            answer = self._pool.request(
                "GET", f"{self._base}/{name}", preload_content=False, redirect=False,
                headers={"Range": f"bytes={offset}-"} if offset else {},
            )  # fmt: skip
        except urllib3.exceptions.HTTPError as error:
            raise UnreachableError(f"{self._base}: {error}") from None
        if answer.status in _GONE:
            answer.release_conn()
            raise MissingError(name)
        if answer.status not in ((200, 206) if offset else (200,)):
            answer.release_conn()
            raise UnreachableError(f"{self._base}/{name}: status {answer.status}")
        return answer

    def read(self, name: str, limit: int) -> bytes:
        """Return the small file `name`. Raises MissingError, UnreachableError."""
        answer = self._get(name)
        try:
            return bytes(answer.read(limit + 1))
        except urllib3.exceptions.HTTPError as error:
            raise UnreachableError(f"{self._base}/{name}: {error}") from None
        finally:
            answer.close()

    def fetch(
        self, address: str, approved: Approved, progress: Callable[[float], None], stop: Callable[[], bool]
    ) -> Path:
        """Return the path of the whole archive. Raises UpdateError, InterruptedError, OSError."""
        path = part_path(self._data, address)
        while not path.is_file() or path.stat().st_size != approved.length:
            try:
                self._more(path, address, approved.length, progress, stop)
            except MissingError:
                raise UpdateError(f"fetching: {self._base} has no pack {address[:12]}") from None
            except UnreachableError:
                _wait(self._again, stop)
        return path

    def _more(
        self, path: Path, address: str, total: int, progress: Callable[[float], None], stop: Callable[[], bool]
    ) -> None:
        have = path.stat().st_size if path.is_file() else 0
        if have > total:
            path.unlink()
            have = 0
        answer = self._get(target_path(address), have)
        if have and answer.status == 200:  # a server without ranges begins anew
            path.unlink()
            have = 0
        with path.open("ab") as file:
            for block in _blocks(answer):
                if stop():
                    raise InterruptedError
                have += len(block)
                if have > total:
                    raise UpdateError(f"fetching: endless: pack {address[:12]} has more than the {total} bytes signed")
                file.write(block)
                progress(have / total)
        if have < total:
            raise UnreachableError(f"broke off after {have} of {total} bytes")

    def discard(self, address: str) -> None:
        """Delete what was fetched of pack `address`."""
        (self._data / FOLDER / f"{address}.part").unlink(missing_ok=True)


def _blocks(answer: urllib3.BaseHTTPResponse) -> Iterator[bytes]:
    try:
        yield from answer.stream(BLOCK)
    except urllib3.exceptions.HTTPError as error:
        raise UnreachableError(str(error)) from None
    finally:
        answer.close()


def _wait(seconds: float, stop: Callable[[], bool]) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if stop():
            raise InterruptedError
        time.sleep(min(0.2, seconds))
