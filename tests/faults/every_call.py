"""Kill ingest before each of its system calls that change a file, one after the other (P3).

    python -m tests.faults.every_call FOLDER [--every 1 --first 0] [--bug receipt-first]

For each of these calls: a fresh store, a batch of frames of which one comes twice, death at that call, and then: every
frame whose receipt had been given must be stored with its whole image; the sweep must leave the bytes of stored images
and no others; and after the node sent everything again, each frame must be stored once. Prints one JSON line.

With ``--sweep`` it is the sweep that is killed, over segments with an end, a gap and a whole file that nobody refers
to.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import shutil
import sqlite3
import sys
from pathlib import Path
from typing import Any

from central.ingest.consumer import Consumer
from central.link import Received
from central.notify import Notifier
from central.store import blobs, database, segments, sweep
from central.store.migrations import migrate
from edge.commands.swarm import small_jpeg
from protocols import codec
from protocols.messages import Message, Receipt
from tests.faults import centre, oracle, tracer
from tests.faults.sender import NAME, made

FRAMES = 4
PATIENCE_S = 60.0
MOST = 2000
"""Calls, far beyond what a batch needs; a loop that does not end is found."""


class Receipts:
    """A link that writes down what it publishes; the write itself is one of the calls."""

    def __init__(self, path: Path) -> None:
        self._handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self.ids: set[str] = set()

    def publish(self, channel: str, _node: str, message: Message) -> bool:
        """Note receipts."""
        if isinstance(message, Receipt):
            os.write(self._handle, "".join(f"{frame}\n" for frame in message.ids).encode())
            self.ids.update(message.ids)
        return True


class Nobody:
    """Answers nothing."""

    def ask(self, node: str, fetch: Any) -> None:
        """Do nothing."""

    def answer(self, node: str, reply: Any) -> None:
        """Do nothing."""


async def _sweep(folder: Path) -> None:
    """Give back what no row refers to, as a centre does."""
    store = database.connect(database.sqlite_url(folder / "central.db"))
    assert await sweep.sweep(store, blobs.connect(None, folder / "blobs"), age_s=-1.0) is not None
    await store.close()


def _spare(folder: Path, rows: list[oracle.Row]) -> int:
    """Return the bytes on the disk beyond whole blocks of what `rows` refer to."""
    placed = [segments.place(row.blob) for row in rows]
    needed = sum(-(-each[2] // sweep.BLOCK) + 1 for each in placed if each) * sweep.BLOCK
    held = sum(512 * path.stat().st_blocks for path in (folder / "blobs").glob("frames/*/*.seg"))
    return max(0, held - needed)


async def _ingest(folder: Path, payloads: list[bytes], wanted: set[str]) -> None:
    store = database.connect(database.sqlite_url(folder / "central.db"))
    await migrate(store.engine)
    receipts = Receipts(folder / "receipts.txt")
    images = blobs.connect(None, folder / "blobs")
    consumer = Consumer(store, images, receipts, Nobody(), Notifier())
    task = asyncio.create_task(consumer.run())
    for payload in payloads:
        consumer.deliver(Received(NAME, "frames", "", payload))
    async with asyncio.timeout(PATIENCE_S):
        while not wanted <= receipts.ids:
            await asyncio.sleep(0.002)
    task.cancel()


def _look(folder: Path) -> tuple[set[str], list[oracle.Row], list[str]]:
    """Return the receipts, the rows, and the frames whose image is not whole."""
    path = folder / "receipts.txt"
    lines = path.read_text().splitlines() if path.exists() else []
    rows = oracle.stored(folder)
    broken = []
    for row in rows:
        try:
            data = segments.read(folder / "blobs", row.blob)
        except OSError:
            data = b""
        if oracle.digest(data) != row.sha256:
            broken.append(row.name)
    return set(lines), rows, broken


def enumerate_calls(folder: Path, every: int, first: int) -> dict[str, Any]:
    """Kill at each `every`-th call from `first` on, and return what was found wrong."""
    messages = [made("b1", i, small_jpeg()) for i in range(FRAMES)]
    payloads = [codec.encode("frames", message) for message in [*messages, messages[0]]]
    wanted, wrong = {message.id for message in messages}, list[str]()
    clean, work = folder / "clean", folder / "work"
    clean.mkdir(parents=True)
    assert tracer.plain(lambda: asyncio.run(_ingest(clean, [], set()))) == 0
    assert tracer.plain(lambda: asyncio.run(_sweep(clean))) == 0  # it marks the folder, as a centre does at its start
    (clean / "receipts.txt").unlink()
    for point in range(first, MOST, every):
        shutil.rmtree(work, ignore_errors=True)
        shutil.copytree(clean, work)
        seen, killed = tracer.run(lambda: asyncio.run(_ingest(work, payloads, wanted)), work, point)
        receipts, rows, broken = _look(work)
        lost = receipts - {row.name for row in rows}
        if lost or receipts & set(broken):
            wrong.append(f"call {point}: {len(lost)} receipted and not stored, {len(broken)} not whole")
        swept = tracer.plain(lambda: asyncio.run(_sweep(work)))
        _, rows, broken = _look(work)
        if swept != 0 or broken or _spare(work, rows):
            wrong.append(f"call {point}: the sweep left {_spare(work, rows)} bytes, {len(broken)} not whole")
        again = tracer.plain(lambda: asyncio.run(_ingest(work, payloads, wanted)))
        _, rows, broken = _look(work)
        if again != 0 or sorted(row.name for row in rows) != sorted(wanted) or broken:
            wrong.append(f"call {point}: {len(rows)} of {len(wanted)} rows after all was sent again")
        print(f"call {point}: {'killed' if killed else 'ended'} after {seen}", file=sys.stderr, flush=True)
        if not killed:
            return {"calls": seen, "points": (point - first) // every, "wrong": wrong, "ok": not wrong}
    return {"calls": MOST, "points": MOST, "wrong": ["ingest does not end"], "ok": False}


def _littered(folder: Path) -> None:
    """Fill a store, then leave in its segments what no row refers to."""
    messages = [made("b1", i, small_jpeg()) for i in range(FRAMES)]
    payloads = [codec.encode("frames", message) for message in messages]
    asyncio.run(_ingest(folder, payloads, {message.id for message in messages}))
    asyncio.run(_sweep(folder))
    held, rubbish, rows = segments.Segments(folder / "blobs"), b"x" * (5 * sweep.BLOCK), oracle.stored(folder)[:2]
    first, second = (segments.read(folder / "blobs", row.blob) for row in rows)
    keys = held.append([first, rubbish, second, rubbish])
    held.close()
    segments.Segments(folder / "blobs").append([rubbish])
    with contextlib.closing(sqlite3.connect(folder / "central.db")) as connection, connection:
        for row, key in zip(rows, keys[::2], strict=True):
            connection.execute("UPDATE frame SET blob = ? WHERE id = ?", (key, row.name))


def enumerate_sweep(folder: Path) -> dict[str, Any]:
    """Kill the sweep at each of its calls, and return what was found wrong."""
    wrong, clean, work = list[str](), folder / "clean", folder / "work"
    clean.mkdir(parents=True)
    assert tracer.plain(lambda: _littered(clean)) == 0
    for point in range(MOST):
        shutil.rmtree(work, ignore_errors=True)
        shutil.copytree(clean, work)
        seen, killed = tracer.run(lambda: asyncio.run(_sweep(work)), work / "blobs", point)
        broken = _look(work)[2]
        again = tracer.plain(lambda: asyncio.run(_sweep(work)))
        _, rows, later = _look(work)
        if broken or later or again != 0 or _spare(work, rows):
            wrong.append(f"call {point}: {len(broken)}, then {len(later)} not whole, {_spare(work, rows)} bytes left")
        print(f"call {point}: {'killed' if killed else 'ended'} after {seen}", file=sys.stderr, flush=True)
        if not killed:
            return {"calls": seen, "points": point, "wrong": wrong, "ok": not wrong}
    return {"calls": MOST, "points": MOST, "wrong": ["the sweep does not end"], "ok": False}


def greedy() -> None:
    """Plant the bug: a sweep that takes one image of each segment for nobody's."""
    real = sweep._clear
    sweep._clear = lambda handle, kept, blocks: real(handle, kept[:-1] or kept, blocks)


BUGS = {**centre.BUGS, "greedy": greedy}


def main() -> int:
    """Read the command line, run, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--every", type=int, default=1)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--sweep", action="store_true")
    parser.add_argument("--bug", choices=list(BUGS))
    given = parser.parse_args()
    if given.bug:
        BUGS[given.bug]()
    try:
        if given.sweep:
            answer = enumerate_sweep(given.folder)
        else:
            answer = enumerate_calls(given.folder, given.every, given.first)
    except PermissionError as error:
        print(error, file=sys.stderr)
        return 77
    print(json.dumps(answer))
    return 0 if answer["ok"] else 1


if __name__ == "__main__":
    sys.exit(main())
