"""A real S3 server in a temporary folder: OpenStack Swift (Apache-2.0) with its S3 API, from its package.

    server = S3.start()                a free port, one bucket, ready to answer; raises MissingError where it cannot
    bucket = server.create()           a fresh bucket
    server.url(bucket)                 the URL of a store in it; its keys are in server.environment
    server.kill(), server.stop(), server.freeze(), then server.restart(): same folder, same port, same data
    server.close()                     killed, folder removed

What it answered for is synced to the disk, and checked against the hash that came with it. Its folder has to be on a
file system with extended attributes.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import importlib.util
import itertools
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import quote

from tests.servers.postgres import MissingError

ACCOUNT: Final = "way"
USER: Final = "side"
KEY: Final = f"{ACCOUNT}:{USER}"
SECRET: Final = "a-secret/of+tests=0123456789abcdef"
REGION: Final = "eu-north-1"
START_S: Final = 60.0
"""Seconds until it answers; two or three are usual, a busy machine needs more."""
POLL_S: Final = 0.05
ROOT: Final = Path(__file__).parents[2]


def _look(folder: Path) -> None:
    """Raise MissingError where Swift cannot run, or not in `folder`."""
    if importlib.util.find_spec("swift") is None or importlib.util.find_spec("eventlet") is None:
        raise MissingError("OpenStack Swift is not installed (pip install swift)")
    try:
        os.setxattr(folder, "user.swift.test", b"x")
    except (OSError, AttributeError):
        raise MissingError(f"{folder}: a file system without extended attributes; set TMPDIR to another") from None


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [int(each.getsockname()[1]) for each in sockets]


def _signed(method: str, host: str, path: str, query: str, body: bytes) -> dict[str, str]:
    """Return the headers of a request signed by AWS Signature Version 4."""
    at = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    digest = hashlib.sha256(body).hexdigest()
    headers = {"host": host, "x-amz-content-sha256": digest, "x-amz-date": at}
    names = ";".join(headers)
    canonical = "\n".join([method, path, query, *(f"{k}:{v}" for k, v in headers.items()), "", names, digest])
    scope = f"{at[:8]}/{REGION}/s3/aws4_request"
    text = "\n".join(["AWS4-HMAC-SHA256", at, scope, hashlib.sha256(canonical.encode()).hexdigest()])
    key = f"AWS4{SECRET}".encode()
    for part in (*scope.split("/"), text):
        key = hmac.digest(key, part.encode(), "sha256")
    proof = f"AWS4-HMAC-SHA256 Credential={KEY}/{scope}, SignedHeaders={names}, Signature={key.hex()}"
    return {**headers, "authorization": proof}


@dataclass
class S3:
    """A server. Its methods wait until what they say is so."""

    folder: Path
    ports: dict[str, int]
    _process: subprocess.Popen[bytes] | None = None
    _numbers: itertools.count[int] = field(default_factory=itertools.count)

    @classmethod
    def start(cls, folder: Path | None = None) -> S3:
        """Return a new server, which answers. `folder` is removed by `close`."""
        folder = Path(tempfile.mkdtemp(prefix="wayside-s3-")) if folder is None else folder
        made = cls(folder, dict(zip(("account", "container", "object", "proxy"), _free_ports(4), strict=True)))
        try:
            _look(folder)
            about = {"region": REGION, "account": ACCOUNT, "user": USER, "secret": SECRET}
            (folder / "settings.json").write_text(json.dumps({"ports": made.ports, "s3": about}))
            made.restart()
        except BaseException:
            made.close()
            raise
        return made

    # --- buckets -----------------------------------------------------------------------------------------------------

    @property
    def endpoint(self) -> str:
        """Where it answers."""
        return f"http://127.0.0.1:{self.ports['proxy']}"

    def create(self, name: str = "") -> str:
        """Make a bucket and return its URL, ``s3://NAME``."""
        name = name or f"t{os.getpid()}-{next(self._numbers)}"
        self.ask("PUT", f"/{name}")
        return f"s3://{name}"

    def url(self, bucket: str, prefix: str = "wayside", endpoint: str | None = None) -> str:
        """Return the URL of a store in `bucket` (a name or a URL), as it is given to the centre."""
        name = bucket.removeprefix("s3://").split("/")[0]
        return f"s3://{name}/{prefix}?endpoint={endpoint or self.endpoint}&region={REGION}&http=yes"

    @property
    def environment(self) -> dict[str, str]:
        """The variables that a program needs to reach it."""
        return {"AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET}

    def ask(self, method: str, path: str, query: str = "", body: bytes = b"") -> bytes:
        """Return the answer to a signed request; `query` is in the order of its names, escaped."""
        path = quote(path, safe="/-_.~")
        host = f"127.0.0.1:{self.ports['proxy']}"
        headers = _signed(method, host, path, query, body)
        asked = urllib.request.Request(
            f"http://{host}{path}{'?' if query else ''}{query}", data=body or None, headers=headers, method=method
        )
        with urllib.request.urlopen(asked, timeout=START_S) as answer:
            return bytes(answer.read())

    def keys(self, bucket: str) -> list[str]:
        """Return every key in `bucket` (a name or a URL), as it is listed."""
        name = bucket.removeprefix("s3://").split("/")[0]
        found: list[str] = []
        while True:
            query = f"marker={quote(found[-1], safe='-_.~')}" if found else ""
            told = self.ask("GET", f"/{name}", query).decode()
            found += re.findall(r"<Key>(.*?)</Key>", told)
            if "<IsTruncated>true" not in told:
                return found

    # --- the processes -----------------------------------------------------------------------------------------------

    @property
    def running(self) -> bool:
        """Whether the process is there."""
        return self._process is not None and self._process.poll() is None

    def restart(self) -> None:
        """Start it again, stopping it before where it runs; return when it answers."""
        self.stop()
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-W", "ignore", "-m", "tests.servers.swift_process", str(self.folder)],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=ROOT, process_group=0,
            )  # fmt: skip
        self._wait()

    def stop(self) -> None:
        """End it; it is as if it was killed: nothing that it answered for waits in memory."""
        if self._process is not None:
            self.kill()

    def kill(self) -> None:
        """End all of its processes at once."""
        assert self._process is not None
        self._signal(signal.SIGKILL)
        self._process.wait(START_S)
        until = time.monotonic() + START_S
        while self._listening() and time.monotonic() < until:
            time.sleep(POLL_S)
        self._process = None

    def freeze(self) -> None:
        """Let it hold every connection and answer nothing, until `thaw`."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        self._signal(signal.SIGCONT)

    def close(self) -> None:
        """Stop it and remove its folder."""
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def log(self) -> str:
        """Return what it wrote."""
        return (self.folder / "log").read_text(errors="replace")

    def _signal(self, what: signal.Signals) -> None:
        assert self._process is not None
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, what)

    def _listening(self) -> bool:
        """Whether one of the ports is still held: children die a moment after their parent."""
        for port in self.ports.values():
            with socket.socket() as trying:
                trying.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                try:
                    trying.bind(("127.0.0.1", port))
                except OSError:
                    return True
        return False

    def _wait(self) -> None:
        until = time.monotonic() + START_S
        while True:
            try:
                self.ask("GET", "/")  # signed, through all of its parts
                return
            except (urllib.error.URLError, OSError) as error:
                if not self.running:
                    raise RuntimeError(f"the S3 server ended: {self.log()[-2000:]}") from error
                if time.monotonic() > until:
                    raise
                time.sleep(POLL_S)
