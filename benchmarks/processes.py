"""Processor time, memory and children of processes (Linux), by their numbers."""

from __future__ import annotations

import os
from collections import defaultdict
from pathlib import Path
from typing import Final

TICKS: Final = os.sysconf("SC_CLK_TCK")
PAGE: Final = os.sysconf("SC_PAGE_SIZE")
_PROC: Final = Path("/proc")


def _stat(pid: int) -> list[str]:
    """Return what the kernel says of `pid`, from its state on; empty where it is gone."""
    try:
        return (_PROC / str(pid) / "stat").read_text().rsplit(")", 1)[1].split()
    except OSError:
        return []


def cpu_s(pid: int) -> float:
    """Return the processor seconds that `pid` used; 0 where it is gone."""
    told = _stat(pid)
    return (int(told[11]) + int(told[12])) / TICKS if told else 0.0


def machine_s() -> float:
    """Return the processor seconds that the whole machine used since it was started."""
    user, nice, system, _idle, _wait, *rest = map(int, (_PROC / "stat").read_text().split("\n", 1)[0].split()[1:9])
    return (user + nice + system + sum(rest)) / TICKS


def memory(pid: int) -> int:
    """Return the bytes that `pid` holds in memory; 0 where it is gone."""
    try:
        return int((_PROC / str(pid) / "statm").read_text().split()[1]) * PAGE
    except OSError:
        return 0


def family(pid: int) -> list[int]:
    """Return `pid` and all that it started, and they."""
    children: dict[int, list[int]] = defaultdict(list)
    for folder in _PROC.iterdir():
        if folder.name.isdigit() and (told := _stat(int(folder.name))):
            children[int(told[1])].append(int(folder.name))
    found, todo = [], [pid]
    while todo:
        found.append(todo.pop())
        todo += children[found[-1]]
    return found
