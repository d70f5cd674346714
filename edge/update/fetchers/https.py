"""From a folder that a web server gives out: ``<url>/trust/...`` and ``<url>/packs/<address>.wpack``.

For large fleets: any static server or cache does, as everything is signed. Plain HTTP is refused all the same, except
from this very machine, because it would show everybody which packs a node runs. Redirects are not followed. A folder
cannot tell the time; the centre is asked for that over the link, so that a node whose clock is wrong can update too.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import urllib3

from edge.update import UpdateError, fetchers
from edge.update.fetchers import Fetcher, Pace, Progress, Stop, delta_part, part_path
from protocols.messages import Chunk
from protocols.trust import TIME, target_path
from protocols.trust.verify import Approved, MissingError, UnreachableError

BLOCK: Final = 256 * 1024
TIMEOUT_S: Final = 20.0
"""Seconds for a connection and between two pieces."""
AGAIN_S: Final = 5.0
"""Between tries of an archive that broke off."""
LOCAL: Final = ("127.0.0.1", "::1", "localhost")
_GONE: Final = (403, 404, 410)


class HttpsFetcher:
    """Fetches below `url`. `ca` is the file of the authority that the server's certificate must come from; `rate` in
    bytes per second holds for archives and deltas; over `link` the centre tells the time."""

    def __init__(
        self,
        data: Path,
        url: str,
        ca: Path | None = None,
        again: float = AGAIN_S,
        rate: int | None = None,
        link: Fetcher | None = None,
    ) -> None:
        parts = urlsplit(url)
        if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in LOCAL):
            raise ValueError(f"{url}: give an https:// address")
        self._data, self._base, self._again = data, url.rstrip("/"), again
        self._pace, self._link = Pace(rate), link
        self._pool = urllib3.PoolManager(
            ca_certs=str(ca) if ca else None, timeout=urllib3.Timeout(TIMEOUT_S), retries=False
        )

    def close(self) -> None:
        """Close what is open."""
        self._pool.clear()

    def take(self, chunk: Chunk) -> None:
        """Hand in an answer that came over the link."""
        if self._link is not None:
            self._link.take(chunk)

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
        if self._link is not None and name.startswith(f"{TIME}/"):
            try:
                return self._link.read(name, limit)
            except UnreachableError:
                raise MissingError(name) from None
        answer = self._get(name)
        try:
            return bytes(answer.read(limit + 1))
        except urllib3.exceptions.HTTPError as error:
            raise UnreachableError(f"{self._base}/{name}: {error}") from None
        finally:
            answer.close()

    def fetch(self, address: str, approved: Approved, progress: Progress, stop: Stop) -> Path:
        """Return the path of the whole archive. Raises UpdateError, InterruptedError, OSError."""
        path = part_path(self._data, address)
        try:
            while not path.is_file() or path.stat().st_size != approved.length:
                self._more(path, target_path(address), approved.length, approved.length, progress, stop)
        except MissingError:
            raise UpdateError(f"fetching: {self._base} has no pack {address[:12]}") from None
        return path

    def delta(self, name: str, limit: int, progress: Progress, stop: Stop) -> Path:
        """Return the path of the whole delta. Raises MissingError, UpdateError, InterruptedError, OSError."""
        path = delta_part(self._data, name)
        while not self._more(path, name, None, limit, progress, stop):
            pass
        return path

    def _more(self, path: Path, name: str, total: int | None, limit: int, progress: Progress, stop: Stop) -> bool:
        """Fetch what is missing, once; say whether that was all. Raises MissingError, UpdateError, InterruptedError."""
        try:
            self._append(path, name, total, limit, progress, stop)
        except UnreachableError:
            _wait(self._again, stop)
            return False
        return True

    def _append(self, path: Path, name: str, total: int | None, limit: int, progress: Progress, stop: Stop) -> None:
        have = path.stat().st_size if path.is_file() else 0
        if have > limit:
            path.unlink()
            have = 0
        answer = self._get(name, have)
        if have and answer.status == 200:  # a server without ranges begins anew
            path.unlink()
            have = 0
        total = total if total is not None else have + int(answer.headers.get("Content-Length") or 0)
        with path.open("ab") as file:
            for block in _blocks(answer):
                if stop():
                    raise InterruptedError
                have += len(block)
                if have > limit:
                    raise UpdateError(f"fetching: endless: {name[-64:]} has more than the {limit} bytes allowed")
                file.write(block)
                progress(min(1.0, have / total) if total else 0.0)
                self._pace.spent(len(block), time.monotonic())
                _wait(self._pace.left(time.monotonic()), stop)
        if have < total:
            raise UnreachableError(f"broke off after {have} of {total} bytes")

    def discard(self, address: str) -> None:
        """Delete what was fetched of pack `address`."""
        fetchers.discard(self._data, address)


def _blocks(answer: urllib3.BaseHTTPResponse) -> Iterator[bytes]:
    try:
        yield from answer.stream(BLOCK)
    except urllib3.exceptions.HTTPError as error:
        raise UnreachableError(str(error)) from None
    finally:
        answer.close()


def _wait(seconds: float, stop: Stop) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if stop():
            raise InterruptedError
        time.sleep(min(0.2, max(0.0, end - time.monotonic())))
