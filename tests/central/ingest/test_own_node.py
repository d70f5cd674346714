"""The node of docs/own-node.md, as it stands there, against a centre with the embedded broker."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
import typer.testing
from sqlalchemy import select

from central import service as service_module
from central.cli import app
from central.service import Service
from central.store.models import Frame, Node, Parked

PAGE = Path(__file__).parents[3] / "docs" / "own-node.md"
pytestmark = [pytest.mark.system, pytest.mark.timeout(120)]


@pytest_asyncio.fixture
async def centre(embedded: None, tmp_path: Path, options: Any) -> AsyncIterator[Service]:
    """A centre whose embedded broker serves enrolled nodes."""

    class Open(options):  # type: ignore[misc]
        broker_tls_port = 0
        broker_hosts = "localhost"

    made = await service_module.start(Open(tmp_path / "central"))
    await made.link.wait_connected(20)
    yield made
    await made.stop()


def program(folder: Path) -> Path:
    """Return the file of the example."""
    (text,) = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    assert not re.search(r"^\s*(?:from|import) (?:protocols|edge|central|export)", text, re.MULTILINE)
    (folder / "own_node.py").write_text(text)
    return folder / "own_node.py"


def add(name: str, file: Path, data: Path) -> None:
    words = ["node", "add", name, "--site", "north", "--out", str(file), "--data", str(data)]
    result = typer.testing.CliRunner().invoke(app, words)
    assert result.exit_code == 0, result.output + result.stderr


def run(*words: str | Path, folder: Path) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, *map(str, words)]
    return subprocess.run(line, capture_output=True, text=True, timeout=90, check=False, cwd=folder)


async def stopped(centre: Service, name: str) -> Node:
    """Wait until the last words of the node were heard."""
    for _ in range(200):
        async with centre.database.read() as session:
            node = await session.get_one(Node, name)
        if node.state == "stopped":
            break
        await asyncio.sleep(0.05)
    return node


async def test_example__sends_frames_until_they_are_safe(
    centre: Service, tmp_path: Path, picture: Callable[..., bytes]
) -> None:
    await asyncio.to_thread(add, "gate-9", tmp_path / "gate-9.wnode", centre.data)
    images = [tmp_path / f"{i}.jpg" for i in range(12)]  # more than its window
    for i, path in enumerate(images):
        path.write_bytes(picture(160, 96, seed=i))
    done = await asyncio.to_thread(run, program(tmp_path), "gate-9.wnode", *images, folder=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    safe = re.findall(r"^safe: (\S+)$", done.stdout, re.MULTILINE)
    node = await stopped(centre, "gate-9")
    async with centre.database.read() as session:
        rows = list(await session.scalars(select(Frame).order_by(Frame.sequence)))
        assert list(await session.scalars(select(Parked))) == []
    assert sorted(safe) == sorted(row.id for row in rows)
    assert [(r.sequence, r.width, r.height, r.site) for r in rows] == [(i, 160, 96, "north") for i in range(12)]
    assert (node.state, node.version) == ("stopped", "own-node 1")
