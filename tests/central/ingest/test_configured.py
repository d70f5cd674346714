"""`broker config mosquitto`: what it writes starts; the centre and nodes get in by certificate, and nobody else."""

from __future__ import annotations

import asyncio
import json
import os
import queue
import signal
import socket
import ssl
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.testing

from central import mosquitto
from central import service as service_module
from central.cli import app
from edge import config
from edge.link import Inbox, LinkError, Lost, Received, Will
from edge.mqtt import PahoConnector
from edge.node import broker_of
from protocols import codec, topics
from protocols.messages import Event, Status, utc_now

P = topics.DEFAULT_PREFIX
pytestmark = [
    pytest.mark.system, pytest.mark.timeout(120),
    pytest.mark.skipif(mosquitto.find() is None, reason="mosquitto is not installed (Debian: apt install mosquitto)"),
]  # fmt: skip


def run(*words: str | Path) -> str:
    result = typer.testing.CliRunner().invoke(app, [str(w) for w in words])
    assert result.exit_code == 0, result.output + result.stderr
    return str(result.stdout)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """The centre's folder."""
    return tmp_path / "central"


@pytest.fixture
def url(tmp_path: Path, data: Path) -> Iterator[str]:
    """A broker that was configured and runs."""
    folder, port = tmp_path / "broker", free_port()
    told = run(
        "broker", "config", "mosquitto", "--out", folder, "--host", "localhost", "--port", str(port),
        "--bind", "127.0.0.1", "--data", data, "--json",
    )  # fmt: skip
    assert "complete" in run("broker", "check", folder)
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([mosquitto.find() or "", "-c", str(folder / mosquitto.CONFIG)], stderr=log)
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                break
        assert process.poll() is None, (folder / "log").read_text()
        time.sleep(0.05)
    yield str(json.loads(told.splitlines()[-1])["url"])
    process.send_signal(signal.SIGTERM)
    process.wait(10)


def connect(file: Path, inbox: Inbox) -> Any:
    """Connect as the node of `file`. Raises LinkError."""
    settings = config.parse(f"enrolment: {file}")
    name = settings.node
    will = Will(topics.build(P, name, "status"), codec.encode("status", Status(state="offline", node=name, boot="b")))
    return PahoConnector(broker_of(settings)).connect(will, topics.subscriptions(P, "node", name), inbox)


async def test_config__centre_and_node_meet_over_it(
    url: str, data: Path, tmp_path: Path, options: Any, sound: Callable[..., Any]
) -> None:
    class Given(options):  # type: ignore[misc]
        ingest_workers = 2

    file = tmp_path / "n1.wnode"
    await asyncio.to_thread(run, "node", "add", "n1", "--out", file, "--data", data)
    centre = await service_module.start(Given(data, broker_url=url))
    await centre.link.wait_connected(20)
    inbox: Inbox = queue.Queue(100)
    node = await asyncio.to_thread(connect, file, inbox)
    message = sound(node="n1")
    node.publish(topics.build(P, "n1", "frames"), codec.encode("frames", message))
    event = await asyncio.to_thread(inbox.get, True, 30)
    assert isinstance(event, Received)
    assert codec.decode("receipts", event.payload).ids == [message.id]  # type: ignore[union-attr]
    await asyncio.to_thread(run, "node", "revoke", "n1", "--data", data)
    assert isinstance(await asyncio.to_thread(inbox.get, True, 30), Lost)
    with pytest.raises(LinkError):
        await asyncio.to_thread(connect, file, inbox)
    node.close(0.1)
    await centre.stop()


def test_config__without_a_certificate_nobody_gets_in(url: str) -> None:
    port = int(url.rsplit(":", 1)[1])
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    connection = bytes.fromhex("100e00044d5154540402003c00026e31")
    raw = socket.create_connection(("127.0.0.1", port))
    with raw, pytest.raises((ssl.SSLError, ConnectionError)), context.wrap_socket(raw) as tls:
        tls.sendall(connection)
        assert tls.recv(4) == b""
        raise ConnectionError("closed without an answer")


@pytest.mark.skipif(not Path("/usr/bin/mosquitto_sub").exists(), reason="mosquitto_sub is missing: mosquitto-clients")
def test_watcher__reads_status_and_events_as_json_lines(url: str, data: Path, tmp_path: Path) -> None:
    watch, file = tmp_path / "watch.pem", tmp_path / "n1.wnode"
    run("broker", "watcher", "--out", watch, "--data", data)
    run("node", "add", "n1", "--out", file, "--data", data)
    port = url.rsplit(":", 1)[1]
    line = [
        "mosquitto_sub", "-h", "localhost", "-p", port, "--cafile", watch, "--cert", watch, "--key", watch,
        "-t", f"{P}/+/status", "-t", f"{P}/+/health", "-t", f"{P}/+/events/+", "-t", f"{P}/+/frames", "-q", "1", "-v",
        "-C", "2", "-W", "20",
    ]  # fmt: skip
    reader = subprocess.Popen([str(w) for w in line], stdout=subprocess.PIPE, text=True, env={**os.environ})
    time.sleep(1.0)
    node = connect(file, queue.Queue(100))
    node.publish(f"{P}/n1/frames", b"\x00secret")
    birth = Status(state="online", node="n1", boot="b", time=utc_now(), site="north")
    node.publish(f"{P}/n1/status", codec.encode("status", birth), retain=True)
    counts = Event(node="n1", camera="gate", time=utc_now(), kind="counts", counts={"car": 2})
    node.publish(f"{P}/n1/events/gate", codec.encode("events", counts))
    said, _ = reader.communicate(timeout=30)
    node.close(0.1)
    lines = dict(line.split(" ", 1) for line in said.splitlines())
    assert json.loads(lines[f"{P}/n1/status"])["state"] == "online"
    assert json.loads(lines[f"{P}/n1/events/gate"])["counts"] == {"car": 2}
