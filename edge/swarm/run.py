"""The swarm: start every node, watch, let it drain, and say what became of each frame.

A frame counts as accounted for when its receipt came. `missing` are those without one when the time was up.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from edge.metrics import percentile
from edge.swarm.mqtt import Login
from edge.swarm.node import Place, SimulatedNode, Traffic

LOOK_S: Final = 5.0
"""Between looks at the centre's memory, and between lines of progress."""
LOOKS: Final = 20
"""Of a short run, at least."""
WARM: Final = 0.2
"""Share of the looks that count as warming up."""
CONNECTS_PER_S: Final = 200.0
"""Nodes that begin per second: a thousand do not switch on within the same second."""
LEAVE_S: Final = 0.5
"""For the last words to reach the broker."""


@dataclass(frozen=True)
class Plan:
    """How many nodes do what for how long."""

    nodes: int
    traffic: Traffic
    seconds: float | None = None
    """Frames are made for so long; None: until each node made its number."""
    drain_s: float = 120.0
    """For the last receipts; where `seconds` is None, for everything."""
    name: str = "sim"
    seed: int = 0
    centre_pid: int | None = None
    """Process whose memory is watched."""


@dataclass
class Watched:
    """Memory and open files of a process, by look."""

    pid: int
    memory: list[int] = field(default_factory=list)
    files: list[int] = field(default_factory=list)

    def look(self) -> None:
        """Note what it uses now (Linux); a process that is gone, or somebody else's, is passed over."""
        folder = Path("/proc") / str(self.pid)
        try:
            pages = int((folder / "statm").read_text().split()[1])
            files = len(os.listdir(folder / "fd"))  # noqa: PTH208
        except (OSError, IndexError, ValueError):
            return
        self.memory.append(pages * os.sysconf("SC_PAGE_SIZE"))
        self.files.append(files)

    def figures(self) -> dict[str, Any]:
        """Return memory in MB after warm-up and at the end, its growth as a share, and open files at both."""
        if not self.memory:
            return {}
        warm = int(WARM * len(self.memory))
        tail = self.memory[-max(1, len(self.memory) // 5) :]
        return {
            "centre_mb": [round(self.memory[warm] / 1e6, 1), round(self.memory[-1] / 1e6, 1)],
            "centre_growth": round(sorted(tail)[len(tail) // 2] / self.memory[warm] - 1, 4),
            "centre_files": [self.files[warm], self.files[-1]],
        }


Login_of = Callable[[str], Login]


async def swarm(plan: Plan, place: Place, login: Login_of, tell: Callable[[str], None]) -> dict[str, Any]:
    """Run the swarm that `plan` describes and return its figures: `ok` says whether every frame has its receipt."""
    members = []
    for i in range(plan.nodes):
        name = f"{plan.name}-{i:04d}"
        members.append(SimulatedNode(name, place, login(name), plan.traffic, plan.seed))
    watched = Watched(plan.centre_pid) if plan.centre_pid else None
    began = time.monotonic()
    tasks = [asyncio.create_task(_late(member, i / CONNECTS_PER_S)) for i, member in enumerate(members)]
    try:
        if plan.seconds is not None:
            await _look(members, watched, began + plan.seconds, lambda: False, tell)
            for member in members:
                member.over = True
        made_s = time.monotonic() - began
        await _look(members, watched, time.monotonic() + plan.drain_s, lambda: all(m.done for m in members), tell)
    finally:
        elapsed = time.monotonic() - began
        for member in members:
            member.leave()
        await asyncio.sleep(LEAVE_S)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    owed = plan.nodes * plan.traffic.frames if plan.seconds is None else 0
    return {**_figures(members, owed, elapsed, made_s), **(watched.figures() if watched else {})}


async def _late(member: SimulatedNode, seconds: float) -> None:
    await asyncio.sleep(seconds)
    await member.run()


async def _look(
    members: Sequence[SimulatedNode], watched: Watched | None, until: float, over: Callable[[], bool],
    tell: Callable[[str], None],
) -> None:  # fmt: skip
    told = time.monotonic()
    pause = min(LOOK_S, (until - told) / LOOKS)
    while time.monotonic() < until and not over():
        await asyncio.sleep(min(0.1, max(0.0, until - time.monotonic())))
        if time.monotonic() - told >= pause:
            told = time.monotonic()
            if watched:
                watched.look()
            online = sum(member.connected for member in members)
            receipts = sum(len(member.tally.latencies) for member in members)
            waiting = sum(len(member.waiting) for member in members)
            memory = f", centre {watched.memory[-1] / 1e6:.0f} MB" if watched and watched.memory else ""
            tell(f"{online} of {len(members)} connected, {receipts} frames receipted, {waiting} wait{memory}")


def _figures(
    members: Sequence[SimulatedNode], owed: int, elapsed: float, made_s: float
) -> dict[str, Any]:
    latencies = [value for member in members for value in member.tally.latencies]

    def total(name: str) -> int:
        return sum(getattr(member.tally, name) for member in members)

    made = total("made")
    # A node that never got so far owes the frames that it was to make.
    missing = max(made, owed) - len(latencies)
    refused = next((member.tally.refused for member in members if not member.tally.connects), "")
    milliseconds = {
        f"p{p}_ms": round(1000 * percentile(latencies, p / 100), 1) if latencies else None for p in (50, 95, 99)
    }
    return {
        "nodes": len(members), "frames": max(made, owed), "receipted": len(latencies), "missing": missing,
        "again": total("again"), "seconds": round(elapsed, 2), "making_s": round(made_s, 2),
        "durable_per_s": round(len(latencies) / elapsed, 2), **milliseconds, "connects": total("connects"),
        "dropouts": total("dropouts"), "updates": total("updates"), "refused": refused,
        "ok": missing == 0 and not refused,
    }  # fmt: skip
