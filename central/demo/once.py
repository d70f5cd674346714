"""Once round the loop without a screen: frames, labels, a round, a release, and every node on the new pack.

With a truth, an annotator that knows it answers through the HTTP API; without one, confident proposals count as labels.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, Final

import msgspec
from rich.console import Console
from rich.table import Table

from central.annotate import oracle
from central.annotate.client import Client, ClientError
from central.annotate.datasets import held_back
from central.annotate.formats import coco as coco_format
from central.annotate.oracle import Tally, Truth
from central.api.schemas import Overview, RoundView
from central.commands.common import CommandError
from central.demo.cameras import Watched
from central.demo.nodes import NodeProcess, Pace
from central.learn.detect import coco
from central.learn.detect.evaluate import evaluate
from edge.runtime.model import Model
from protocols.pack import open_folder

PACE: Final = Pace(fps=15.0, frames_per_hour=7200.0)
"""Twice a second and camera at most: some dozens of frames within a minute."""
WANTED: Final = 96
"""Labelled frames for training that the round waits for, where nobody says otherwise."""
FEWEST: Final = 4
PATIENCE_S: Final = 75.0
"""Without a further label for so long, the round starts with what there is."""
LONGEST_S: Final = 150.0
"""Of the review: then the round starts with what there is."""
HOPELESS_S: Final = 300.0
"""Of a review that has not even brought FEWEST: nobody answers, or the proposals are never sure enough."""
TELL_S: Final = 15.0
"""Between two lines that say how far the review is."""
LIMIT_S: Final = 1800.0
"""Everything together; more means that something hangs."""
START_S: Final = 120.0
"""For the nodes to come online; loading a model takes a few seconds."""
LOOK_S: Final = 0.5
HEALTH_WAIT_S: Final = 10.0
"""What nodes say of themselves follows their frames by some seconds."""
NEWEST: Final = 100
"""Frames among which one of each node is looked for: a minute's worth."""
NEIGHBOURS: Final = 10
"""Frames around a learned one that its own camera's truth is not judged on: at 25 fps they are the same picture."""


FIGURES: Final = (
    "frames_seen", "frames_sent", "bytes", "labelled_frames", "labels",
    "ap50_before", "ap50_after", "seconds_label_to_running",
)  # fmt: skip
"""What people are told of the answer."""


@dataclass(frozen=True)
class Job:
    """What is to be known beforehand."""

    truth: Truth | None = None
    truth_file: Path | None = None
    images: Path | None = None
    wanted: int = WANTED
    """Labelled frames for training that the round waits for."""


@dataclass
class Timeline:
    """What happened when, seconds since the start."""

    console: Console
    begun: float = field(default_factory=time.monotonic)
    events: list[dict[str, Any]] = field(default_factory=list)

    def note(self, event: str, **more: Any) -> float:
        """Remember and print `event`; return its time."""
        at = round(time.monotonic() - self.begun, 2)
        self.events.append({"at_s": at, "event": event, **more})
        self.say(event)
        return at

    def say(self, line: str) -> None:
        """Print `line` with the time, without remembering it."""
        self.console.print(f"{time.monotonic() - self.begun:8.1f} s  {line}")


def prepare(watched: Sequence[Watched], truth: Path | None, wanted: int = WANTED) -> Job:
    """Read the truth, where there is one. Raises CommandError."""
    if truth is None:
        return Job(wanted=wanted)
    folder = Path(watched[0].source)
    if not truth.exists() and (folder / truth.name).exists():
        truth = folder / truth.name
    try:
        dataset = coco_format.FORMAT.read(truth)
    except ValueError as error:
        raise CommandError(str(error)) from None
    images = None
    if folder.is_dir():
        images = folder / "images" if (folder / "images").is_dir() else folder
    return Job(Truth(dataset), truth, images, wanted)


async def _until(
    client: Client, ready: Callable[[Overview], bool], stop: asyncio.Event, deadline: float
) -> Overview | None:
    """Look at the overview until `ready`; None where `stop` or the deadline came first."""
    while not stop.is_set() and time.monotonic() < deadline:
        with contextlib.suppress(ClientError):
            overview = await asyncio.to_thread(client.overview)
            if ready(overview):
                return overview
        await asyncio.sleep(LOOK_S)
    return None


class _Patience:
    """Ends the review when enough is labelled, or nothing more comes."""

    def __init__(self, timeline: Timeline, stop: asyncio.Event, deadline: float, wanted: int) -> None:
        self.timeline, self.stop, self.deadline, self.wanted = timeline, stop, deadline, wanted
        self.best = 0
        self.since = self.begun = self.told = time.monotonic()

    def over(self, useful: int) -> bool:
        """Say whether to go on to the round, with `useful` labelled frames that it may learn from."""
        now = time.monotonic()
        if useful > self.best:
            self.best, self.since = useful, now
        if now - self.told > TELL_S:
            self.told = now
            self.timeline.say(f"{useful} of {self.wanted} labelled frames to learn from so far")
        tired = now - self.since > PATIENCE_S or now - self.begun > LONGEST_S
        ended = tired if useful >= FEWEST else now - self.begun > HOPELESS_S
        return useful >= self.wanted or ended or self.stop.is_set() or now > self.deadline


class _Useful:
    """Counts labelled frames that a round may learn from: those that are not held back."""

    def __init__(self, client: Client) -> None:
        self.client, self.labelled, self.useful = client, 0, 0

    def count(self, labelled: int) -> int:
        """Return how many of now `labelled` frames are for training; asks only where the number has changed."""
        if labelled != self.labelled:
            with contextlib.suppress(ClientError):
                frames = list(self.client.frames("labelled"))
                self.useful = sum(not held_back(frame.camera, frame.index) for frame in frames)
                self.labelled = labelled
        return self.useful


async def _review(client: Client, job: Job, patience: _Patience) -> tuple[int, int]:
    """Have frames answered until there are enough; return how many are labelled, and how many of them for training."""
    useful = _Useful(client)
    if job.truth is not None:
        tally: Tally = await asyncio.to_thread(
            oracle.run, client, job.truth, lambda t: patience.over(useful.count(t.labelled)), LOOK_S
        )
        return tally.labelled, useful.useful
    while not patience.over(useful.useful):
        await asyncio.sleep(LOOK_S)
        with contextlib.suppress(ClientError):
            await asyncio.to_thread(lambda: useful.count(client.overview().totals.labelled))
    return useful.labelled, useful.useful


async def _learn(client: Client, timeline: Timeline, stop: asyncio.Event, deadline: float) -> RoundView | None:
    started = await asyncio.to_thread(client.start_round)
    timeline.note(f"round {started.id} starts")
    shown = ""
    while not stop.is_set() and time.monotonic() < deadline:
        latest = await asyncio.to_thread(client.round, started.id)
        if latest.state != shown:
            shown = latest.state
            timeline.note(f"round {latest.id}: {latest.state}, {latest.detail}")
        if latest.state in ("done", "failed"):
            return latest
        await asyncio.sleep(LOOK_S)
    return None


async def round_the_loop(
    client: Client, nodes: Sequence[NodeProcess], data: Path, job: Job, stop: asyncio.Event, console: Console
) -> dict[str, Any] | None:
    """Go once round and return the figures; None where it ended before."""
    timeline, deadline = Timeline(console), time.monotonic() + LIMIT_S
    names = {node.name for node in nodes}
    online = await _until(
        client,
        lambda o: names <= {n.node for n in o.nodes if n.state == "online"},
        stop,
        min(deadline, time.monotonic() + START_S),
    )
    if online is None:
        return _gave_up(console, stop, "the nodes did not come online", nodes)
    timeline.note(f"{len(names)} nodes are online", packs={n.node: n.pack for n in online.nodes})
    seen = await _until(client, lambda o: o.totals.frames > 0, stop, deadline)
    if seen is None:
        return _gave_up(console, stop, "no frame arrived", nodes)
    timeline.note("the first frame is stored")
    labelled, useful = await _review(client, job, _Patience(timeline, stop, deadline, job.wanted))
    last_label = timeline.note(f"{labelled} frames are labelled, {useful} of them to learn from")
    if useful < FEWEST:
        return _gave_up(console, stop, _too_few(useful, job), nodes)
    sent = await asyncio.to_thread(client.overview)
    done = await _learn(client, timeline, stop, deadline)
    if done is None or done.state != "done" or done.pack is None or done.offered is False:
        return _gave_up(console, stop, f"the round did not end well: {done.detail if done else 'no time left'}", nodes)
    release = await asyncio.to_thread(client.release, done.pack, f"round {done.id}")
    timeline.note(f"release {release.number} is offered")
    final = await _until(
        client, lambda o: all(n.pack == done.pack for n in o.nodes) and len(o.nodes) == len(names), stop, deadline
    )
    if final is None:
        return _gave_up(console, stop, "not every node runs the new pack", nodes)
    running = timeline.note("every node runs the pack that was trained from its own frames")
    if not await _watching(client, names, done.pack, stop):
        return _gave_up(console, stop, "not every node sends frames with the new pack", nodes)
    timeline.note("every node goes on watching with it")
    told = await _until(client, lambda o: _seen(o) > o.totals.frames, stop, time.monotonic() + HEALTH_WAIT_S)
    watching = told if told is not None else await asyncio.to_thread(client.overview)
    answer = _figures(sent, watching, done, round(running - last_label, 2), timeline)
    if job.truth_file is not None and job.images is not None:
        answer["truth"] = await asyncio.to_thread(_judge, client, job, data, online.nodes[0].pack, done.pack, console)
    return answer


async def _watching(client: Client, names: set[str], pack: str, stop: asyncio.Event) -> bool:
    """Wait until a frame that `pack` chose is stored from each node; False where one does not watch any more."""
    deadline = time.monotonic() + START_S
    while not stop.is_set() and time.monotonic() < deadline:
        with contextlib.suppress(ClientError):
            newest = await asyncio.to_thread(lambda: list(islice(client.frames(), NEWEST)))
            if names <= {frame.node for frame in newest if frame.pack == pack}:
                return True
        await asyncio.sleep(LOOK_S)
    return False


def _too_few(useful: int, job: Job) -> str:
    what = f"too little to learn from: {useful} labelled frames, at least {FEWEST} are needed"
    if job.truth is not None:
        return f"{what}; {job.truth_file} knows too few of the frames that came, see that its names are theirs"
    return (
        f"{what}. The running pack is seldom sure of what it sees there: say what is there (--truth, COCO), let it be "
        "less sure (WAYSIDE_AUTO_CONFIDENCE=0.3), or review yourself: wayside-central demo"
    )


def _gave_up(console: Console, stop: asyncio.Event, why: str, nodes: Sequence[NodeProcess]) -> dict[str, Any] | None:
    """Say why there are no figures, with the nodes' last words; always None."""
    if stop.is_set():
        console.print("stopped")
        return None
    console.print(f"wayside-central: loop: {why}")
    for node in nodes:
        console.print(f"  {node.name}: {node.last_words()[:300]}", markup=False)
    return None


def _seen(overview: Overview) -> int:
    """Return how many frames the nodes assessed, as their last health messages say."""
    return sum(camera.frames for node in overview.nodes for camera in node.cameras)


def _figures(
    sent: Overview, final: Overview, done: RoundView, seconds: float, timeline: Timeline
) -> dict[str, Any]:
    return {
        "ok": True,
        "frames_seen": _seen(final),
        "frames_sent": final.totals.frames, "bytes": final.totals.bytes,
        "labelled_frames": sent.totals.labelled, "labels": sent.totals.labels,
        "ap_before": done.ap_before, "ap_after": done.ap_after,
        "ap50_before": done.ap50_before, "ap50_after": done.ap50_after,
        "seconds_label_to_running": seconds, "pack": done.pack,
        "nodes": {n.node: {"pack": n.pack, "release": n.release, "state": n.state} for n in final.nodes},
        "timeline": timeline.events,
    }  # fmt: skip


def _judge(
    client: Client, job: Job, data: Path, before: str | None, after: str, console: Console
) -> dict[str, Any]:
    """Return the AP of both packs on the truth's images that nothing near was learned from."""
    assert job.truth_file is not None and job.images is not None
    learned = {Path(f.name).name for f in client.frames("labelled") if f.name}
    truth = coco.read(job.truth_file)
    order = [i for i, image in enumerate(truth.images) if Path(image.file_name).name in learned]
    near = {j for i in order for j in range(i - NEIGHBOURS, i + NEIGHBOURS + 1)}
    images = [image for i, image in enumerate(truth.images) if image.labelled and i not in near]
    kept = {image.id for image in images}
    boxes = [box for box in truth.annotations if box.image_id in kept]
    if not images or not boxes:
        return {"images": 0}
    rest = msgspec.structs.replace(truth, images=images, annotations=boxes)
    found: dict[str, Any] = {"images": len(images)}
    for name, address in (("before", before), ("after", after)):
        folder = _pack_folder(data, address)
        if folder is None:
            continue
        console.print(f"judging the pack {name} on {len(images)} images that nothing near was learned from")
        with Model(open_folder(folder), "cpu", threads=2) as model:
            report = evaluate(model, job.images, rest)
        found |= {f"ap_{name}": report.ap, f"ap50_{name}": report.ap50}
    return found


def _pack_folder(data: Path, address: str | None) -> Path | None:
    places = [data / "packs", *(data / "nodes").glob("*/packs")]
    return next((p / address for p in places if address and (p / address).is_dir()), None)


def tell(answer: dict[str, Any], as_json: bool, console: Console) -> None:
    """Print the figures: a table for people, one JSON line for programs."""
    table = Table(box=None, show_header=False)
    for key in FIGURES:
        value = answer[key]
        table.add_row(key.replace("_", " "), f"{value:.3f}" if isinstance(value, float) else str(value))
    console.print(table)
    if as_json:
        sys.stdout.write(json.dumps(answer) + "\n")
