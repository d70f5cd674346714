"""A real Ray cluster on this machine: a head and further nodes, each with its own raylet and object store.

with Cluster(folder, nodes=2) as cluster:
    cluster.address      ray://127.0.0.1:PORT
    cluster.kill(1)      SIGKILL to everything of a node
    cluster.start(1)     another one in its place
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Final

STORE_BYTES: Final = 100_000_000
"""Of a node's object store; Ray takes no less than 75 MB."""
START_S: Final = 300.0
"""Generous, as machines that test are busy."""
PORTS: Final = (
    "dashboard-agent-grpc-port", "dashboard-agent-listen-port", "runtime-env-agent-port", "metrics-export-port",
    "node-manager-port", "object-manager-port",
)  # fmt: skip
ENV: Final = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_raylet_start_wait_time_s": "240",  # machines that test are busy
    "RAY_health_check_period_ms": "1000",
    "RAY_health_check_failure_threshold": "8",
    "RAY_health_check_timeout_ms": "8000",
    "RAY_enable_infeasible_task_early_exit": "0",
    "RAY_DISABLE_MEMORY_MONITOR": "1",
    "RAY_memory_monitor_refresh_ms": "0",
}


def free_ports(count: int) -> list[int]:
    """Return ports that nobody listens on now."""
    held = [socket.socket() for _ in range(count)]
    for one in held:
        one.bind(("127.0.0.1", 0))
    ports = [int(one.getsockname()[1]) for one in held]
    for one in held:
        one.close()
    return ports


class Cluster:
    """Nodes of one core each; node 0 is the head. They run until the block ends."""

    def __init__(self, nodes: int = 2, cpus: int = 1) -> None:
        # Ray makes Unix sockets below it, whose paths may have 107 characters.
        self.folder = Path(tempfile.mkdtemp(prefix="ray", dir="/tmp"))
        self._count, self._cpus = nodes, cpus
        self._gcs, self._client, *self._ports = free_ports(2)
        self._nodes: dict[int, subprocess.Popen[bytes]] = {}

    @property
    def address(self) -> str:
        """What the centre connects to."""
        return f"ray://127.0.0.1:{self._client}"

    @property
    def gcs(self) -> str:
        """What a node connects to."""
        return f"127.0.0.1:{self._gcs}"

    def start(self, number: int) -> None:
        """Start node `number`; it is there a little later."""
        words = [
            sys.executable, "-m", "ray.scripts.scripts", "start", "--block", "--disable-usage-stats", "--num-cpus",
            str(self._cpus), "--num-gpus", "0", "--object-store-memory", str(STORE_BYTES),
        ]  # fmt: skip
        # Where it chooses them itself, a node dies that does not hear of its agents' ports within seconds.
        for name, port in zip(PORTS, free_ports(len(PORTS)), strict=True):
            words += [f"--{name}", str(port)]
        if number == 0:
            words += [
                "--head", "--node-ip-address", "127.0.0.1", "--port", str(self._gcs), "--include-dashboard", "false",
                "--ray-client-server-port", str(self._client), "--temp-dir", str(self.folder / "s"),
            ]  # fmt: skip
        else:
            words += ["--address", self.gcs, "--node-ip-address", "127.0.0.1"]
        root = Path(__file__).parent.parent.parent
        env = {**os.environ, **ENV, "PYTHONPATH": str(root)}
        with (self.folder / f"node{number}.log").open("ab") as log:
            self._nodes[number] = subprocess.Popen(
                words,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=env,
                cwd=self.folder,
            )

    def wait(self, nodes: int) -> None:
        """Wait until `nodes` nodes are there. Raises TimeoutError with what they said."""
        words = [sys.executable, "-c", _COUNT, self.gcs, str(nodes), str(START_S)]
        found = subprocess.run(words, capture_output=True, text=True, env={**os.environ, **ENV}, check=False)
        if found.returncode == 0:
            return
        said = "\n".join(path.read_text(errors="replace") for path in sorted(self.folder.glob("*.log")))
        raise TimeoutError(f"no cluster of {nodes} nodes within {START_S} s:\n{said}\n{found.stdout}{found.stderr}")

    def kill(self, number: int) -> None:
        """SIGKILL everything of a node: raylet, workers, agents."""
        node = self._nodes.pop(number)
        for pid in _family(node.pid):
            _kill(pid)
        node.wait()

    def actors(self, title: str = "ray::Host") -> list[int]:
        """Return the processes of the cluster that carry `title`, dead ones aside."""
        found = []
        for pid in {pid for node in self._nodes.values() for pid in _family(node.pid)}:
            with contextlib.suppress(OSError):
                found += [pid] * Path(f"/proc/{pid}/cmdline").read_bytes().startswith(title.encode())
        return found

    def __enter__(self) -> Cluster:
        try:
            self.start(0)
            self.wait(1)
            for number in range(1, self._count):
                self.start(number)
            self.wait(self._count)
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number in sorted(self._nodes, reverse=True):
            self.kill(number)
        shutil.rmtree(self.folder, ignore_errors=True)


_COUNT: Final = """
import sys, time
from ray._raylet import GcsClient
address, wanted, until = sys.argv[1], int(sys.argv[2]), time.monotonic() + float(sys.argv[3])
client, there = None, 0
while there != wanted:
    if time.monotonic() > until:
        sys.exit(f"{there} nodes are there")
    time.sleep(0.3)
    try:
        client = client or GcsClient(address=address)
        there = sum(1 for node in client.get_all_node_info().values() if node.state == 0)
    except Exception as error:
        print(error, file=sys.stderr)
"""


def _family(root: int) -> list[int]:
    """Return `root` and all processes below it, now."""
    children: dict[int, list[int]] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            text = path.read_text()
        except OSError:
            continue
        fields = text.rpartition(")")[2].split()
        children.setdefault(int(fields[1]), []).append(int(path.parent.name))
    found, todo = [], [root]
    while todo:
        pid = todo.pop()
        found.append(pid)
        todo += children.get(pid, [])
    return found


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return
