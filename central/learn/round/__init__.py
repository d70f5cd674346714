"""A round: labels -> the next pack, proven, judged, and offered or not, with a report.

    plan       freezes what is learned from, and everything else that the round depends on  -> plan.json, images/
    lesson     what the strategy makes of it
    training                                                                               -> train/
    packing    rounding the update, export, proof                                          -> pack/
    judging    both packs on the held-back frames, in turns for their latency
    gates      (`central.learn.gates`) what speaks against offering it
    register   into the registry, held where a gate failed
    report     what people and programs read                                               -> report.html, report.json

`run` goes through them. It runs in a process of its own and never touches what the server holds in memory. Each stage
leaves files in ``rounds/<id>/``, and each is a function of the plan and of what lies there: a round that was killed,
wherever, goes on from there and ends as it would have ended.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Tell = Callable[[dict[str, Any]], None]
"""Receives steps: ``stage``, ``state``, ``progress`` 0..1, ``detail`` and what else changed of the round's row."""


class RoundError(ValueError):
    """A round that cannot be run. The text says why, and what to do."""
