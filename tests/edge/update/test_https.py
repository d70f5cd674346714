"""Packs and what was signed about them from a plain web server: resumed, bounded, patient."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from edge.update import UpdateError
from edge.update.fetchers.https import HttpsFetcher
from protocols.trust import MAX_METADATA
from protocols.trust.verify import Approved, MissingError, UnreachableError

PACK = "a" * 64
ARCHIVE = bytes(range(256)) * 4000
APPROVED = Approved(length=len(ARCHIVE), sha256="")


class Server(ThreadingHTTPServer):
    """A folder in memory. `cut` breaks the first answer off after so many bytes; `ranges`: whether it knows them."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.files = {f"/packs/{PACK}.wpack": ARCHIVE, "/trust/timestamp.json": b"{}"}
        self.cut: int | None = None
        self.ranges, self.asked = True, list[str]()


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        span = self.headers.get("Range", "")
        self.server.asked.append(span)
        data = self.server.files.get(self.path)
        if data is None:
            self.send_error(404)
            return
        start = int(span[6:-1]) if span and self.server.ranges else 0
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(data) - start))
        self.end_headers()
        cut, self.server.cut = self.server.cut, None
        self.wfile.write(data[start : start + cut] if cut is not None else data[start:])
        self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    thread = threading.Thread(target=made.serve_forever, daemon=True)
    thread.start()
    yield made
    made.shutdown()
    made.server_close()
    thread.join()


@pytest.fixture
def fetcher(server: Server, tmp_path: Path) -> Iterator[HttpsFetcher]:
    made = HttpsFetcher(tmp_path, f"http://127.0.0.1:{server.server_port}", again=0.01)
    yield made
    made.close()


def fetch(fetcher: HttpsFetcher, approved: Approved = APPROVED) -> Path:
    return fetcher.fetch(PACK, approved, lambda _: None, lambda: False)


def test_read__a_small_file(fetcher: HttpsFetcher) -> None:
    assert fetcher.read("trust/timestamp.json", MAX_METADATA) == b"{}"


def test_read__what_is_not_there(fetcher: HttpsFetcher) -> None:
    with pytest.raises(MissingError):
        fetcher.read("trust/2.root.json", MAX_METADATA)


def test_read__no_further_than_just_beyond_the_limit(fetcher: HttpsFetcher) -> None:
    assert len(fetcher.read(f"packs/{PACK}.wpack", 1000)) == 1001


def test_read__nobody_there(tmp_path: Path) -> None:
    made = HttpsFetcher(tmp_path, "http://127.0.0.1:1")
    with pytest.raises(UnreachableError):
        made.read("trust/timestamp.json", 10)


@pytest.mark.parametrize("ranges", [True, False], ids=["ranges", "whole"])
def test_fetch__goes_on_where_it_broke_off(server: Server, fetcher: HttpsFetcher, ranges: bool) -> None:
    server.cut, server.ranges = 300_000, ranges
    assert fetch(fetcher).read_bytes() == ARCHIVE
    assert server.asked == ["", "bytes=262144-"]  # whole blocks are kept


def test_fetch__endless(fetcher: HttpsFetcher) -> None:
    with pytest.raises(UpdateError, match="endless"):
        fetch(fetcher, Approved(length=1000, sha256=""))


def test_fetch__no_such_pack(server: Server, fetcher: HttpsFetcher) -> None:
    server.files.clear()
    with pytest.raises(UpdateError, match="has no pack aaaaaaaaaaaa"):
        fetch(fetcher)


def test_fetch__ends_when_told(server: Server, fetcher: HttpsFetcher) -> None:
    with pytest.raises(InterruptedError):
        fetcher.fetch(PACK, APPROVED, lambda _: None, lambda: True)


@pytest.mark.parametrize("url", ["http://packs.example/x", "ftp://127.0.0.1/x", "packs"])
def test_url__only_https_or_this_machine(tmp_path: Path, url: str) -> None:
    with pytest.raises(ValueError, match="give an https:// address"):
        HttpsFetcher(tmp_path, url)
