"""A proxy before an S3 server that counts what is asked, and meddles with it.

    meddler = Meddler(server.ports["proxy"])     then give `meddler.endpoint` in place of the server's
    meddler.rule = damage                        what is done with a request, until another rule is set
    meddler.asked                                method and path of every request, in order

A rule gets method and path, and returns what to do: "pass", "damage" (a byte of the answer is turned), "cut" (the
answer ends early), "busy" (503 SlowDown), "hang" (no answer), "lie" (a PUT is answered, and never passed on).
"""

from __future__ import annotations

import contextlib
import http.client
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

Rule = Callable[[str, str], str]
BUSY: Final = b"<?xml version='1.0'?><Error><Code>SlowDown</Code><Message>Slow down.</Message></Error>"
HANG_S: Final = 30.0


def let_pass(_: str, __: str) -> str:
    """Meddle with nothing."""
    return "pass"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Any

    def log_message(self, *_: Any) -> None:
        """Say nothing."""

    def _do(self) -> None:
        meddler: Meddler = self.server.meddler
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        what = meddler.take(self.command, self.path)
        time.sleep(meddler.delay_s)
        if what == "hang":
            meddler.ended.wait(HANG_S)
            self.close_connection = True
            return
        if what == "busy":
            self._answer(503, {"Content-Type": "application/xml"}, BUSY)
            return
        if what == "lie":
            self._answer(200, {"ETag": '"0123456789abcdef0123456789abcdef"'}, b"")
            return
        self._pass(body, meddler.port, what)

    def _pass(self, body: bytes, port: int, what: str) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=HANG_S)
        try:
            connection.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            for name, value in self.headers.items():
                connection.putheader(name, value)
            connection.endheaders(body or None)
            answer = connection.getresponse()
            data = answer.read()
        except (OSError, http.client.HTTPException):
            self.close_connection = True
            return
        finally:
            connection.close()
        headers = {k: v for k, v in answer.getheaders() if k.lower() not in ("transfer-encoding", "connection")}
        if what == "damage" and data:
            data = bytes([data[0] ^ 0x55]) + data[1:]
        self._answer(answer.status, headers, data, cut=what == "cut")

    def _answer(self, status: int, headers: dict[str, str], data: bytes, cut: bool = False) -> None:
        with contextlib.suppress(OSError):
            self.send_response_only(status)
            for name, value in headers.items():
                if name.lower() != "content-length":
                    self.send_header(name, value)
            length = headers.get("Content-Length", str(len(data))) if self.command == "HEAD" else str(len(data))
            self.send_header("Content-Length", length)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(data[: len(data) // 2] if cut else data)
        self.close_connection = self.close_connection or cut

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = _do  # noqa: N815


class Meddler:
    """The proxy; it answers at `endpoint` until `close`."""

    def __init__(self, port: int) -> None:
        self.port, self.rule, self.delay_s = port, let_pass, 0.0
        self.asked: list[tuple[str, str]] = []
        self.ended = threading.Event()
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
        self._server.daemon_threads = True
        self._server.meddler = self  # type: ignore[attr-defined]
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    @property
    def endpoint(self) -> str:
        """Where it answers."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def take(self, method: str, path: str) -> str:
        """Note a request, and return what is done with it."""
        with self._lock:
            self.asked.append((method, path))
        return self.rule(method, path)

    def count(self, method: str) -> int:
        """Return how many requests of `method` there were."""
        return sum(asked == method for asked, _ in self.asked)

    def close(self) -> None:
        """End it."""
        self.ended.set()
        self._server.shutdown()
        self._server.server_close()


@contextlib.contextmanager
def meddling(port: int) -> Iterator[Meddler]:
    """Yield a proxy before `port`."""
    made = Meddler(port)
    try:
        yield made
    finally:
        made.close()
