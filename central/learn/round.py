"""A round: snapshot -> training -> export -> evaluation -> a registered pack.

It runs in a process of its own, never touches what the server holds in memory, and every step of it leaves files in
``rounds/<id>/``: a round that was killed goes on from there.
"""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray
from sqlalchemy import select

import edge
from central import settings
from central.annotate import profile
from central.learn import families, incremental, snapshot
from central.learn.data import Example
from central.learn.data.dataset import read_image
from central.learn.detect.config import TrainConfig
from central.learn.detect.evaluate import Report, evaluate
from central.learn.detect.quick import best_threshold, detect
from central.learn.detect.train import Run
from central.learn.incremental import Lesson, Memory, Task
from central.learn.material import Material, MaterialError, gather, hold_down
from central.learn.rounding import FRAMES, round_network
from central.learn.snapshot import Frozen
from central.learn.start import StartError, network_from, read_pack
from central.releases.compare import camera_metrics
from central.releases.offers import counts
from central.releases.registry import register
from central.store import blobs as blob_store
from central.store import database as databases
from central.store.database import Database
from central.store.models import Release
from edge.runtime import packs
from edge.runtime.model import Model
from export.build import Ingredients, build, noise_frames, parity_inputs, prepared, reference
from export.prototypes import SAMPLE, choose, embeddings
from protocols import files
from protocols.pack import MANIFEST, Input, Pack, PackError, open_folder

EPOCHS: Final = 20
BATCH: Final = 8
MIN_STEPS: Final = 80
MAX_STEPS: Final = 2000
TRAINING_SPAN: Final = (0.05, 0.85)
"""Part of a round's progress that is its training."""

Tell = Callable[[dict[str, Any]], None]
T = TypeVar("T")


class RoundError(ValueError):
    """A round that cannot be run. The text says why, and what to do."""


@dataclass(frozen=True)
class Plan:
    """All that a round needs to know before it trains."""

    folder: Path
    frozen: Frozen
    material: Material
    parent: Pack
    origin: Pack
    """Where the first round started, for a strategy that starts anew."""
    labels: tuple[str, ...]
    epochs: int
    seed: int
    step: float
    """Of the rounding, over the standard deviation of an update; 0 for none."""
    strategy: str
    memory: Memory

    @property
    def images(self) -> Path:
        """Where the images of the snapshot lie."""
        return self.folder / "images"


def run_round(data: Path, round_id: str, options: dict[str, Any], report: Tell) -> dict[str, Any]:
    """Run the round `round_id` on the centre's folder `data` and return what changed: pack, AP before and after.

    `options`: ``epochs`` (passes over the labelled frames), ``seed``, ``strategy`` (how it is kept from forgetting),
    ``memory_frames`` (most frames of the past), ``again`` (learn though nothing is new), and ``profile`` and ``pack``
    as the server has them set. Raises RoundError, SlotError and whatever the disk raises.
    """
    begun = time.monotonic()
    settled = settings.load(data=data, **{name: options.get(name) for name in ("profile", "pack", "update_step")})
    report({"state": "training", "progress": 0.0, "detail": "freezing a snapshot of the labels"})
    plan = _with_database(settled, lambda db: _plan(db, settled, round_id, options))
    mark = time.monotonic()
    lesson = _lesson(plan)
    training, stages = lesson.examples, {"lesson_s": time.monotonic() - mark}
    shares, held = hold_down([e.camera for e in training], lesson.shares)
    boxes = sum(int((e.weights > 0).sum()) for e in training)
    notes = [*plan.material.notes, *held]
    report(
        {"frames": len(plan.frozen.items), "labels": boxes, "snapshot": plan.frozen.address,
         "parent": plan.parent.address, "progress": TRAINING_SPAN[0],
         "detail": f"training on {len(training)} frames with {boxes} boxes" + "".join(f"; {n}" for n in notes)}
    )  # fmt: skip
    network, seconds = _train(plan, replace(lesson, shares=shares), report)
    stages |= seconds
    report(
        {"state": "exporting", "progress": TRAINING_SPAN[1], "eta_s": None, "detail": "exporting and proving the pack"}
    )
    mark = time.monotonic()
    pack = _export(plan, network, training)
    stages["export_s"] = time.monotonic() - mark
    report({"state": "evaluating", "progress": 0.9, "detail": "comparing with the pack before, on held-back frames"})
    mark = time.monotonic()
    before, after = _judge(plan, plan.parent), _judge(plan, pack)
    stages["evaluate_s"] = time.monotonic() - mark
    measured = {name: v for name in ("ap", "ap50") if after is not None and (v := getattr(after, name)) is not None}
    measured |= camera_metrics(_by_camera(before), _by_camera(after))
    kept = _with_database(settled, lambda db: register(db, settled.packs, pack, measured))
    result = _result(plan, kept, before, after) | {
        "strategy": plan.strategy, "new_frames": len(plan.material.new), "replayed": lesson.remembered,
        "guessed": lesson.guessed, "notes": notes,
    }  # fmt: skip
    stages["total_s"] = time.monotonic() - begun
    files.write_atomic(plan.folder / "report.json", json.dumps({**result, "stages": stages}, indent=1).encode())
    return result


def _by_camera(report: Report | None) -> dict[str, float | None]:
    return {camera: each.ap50 for camera, each in report.cameras.items()} if report is not None else {}


def _with_database(settled: settings.Settings, work: Callable[[Database], Awaitable[T]]) -> T:
    async def run() -> T:
        database = databases.connect(settled.database)
        try:
            return await work(database)
        finally:
            await database.close()

    return asyncio.run(run())


async def _plan(database: Database, settled: settings.Settings, round_id: str, options: dict[str, Any]) -> Plan:
    folder = settled.data / "rounds" / round_id
    labels = tuple(label.name for label in profile.load(settled.profile).labels)
    name = str(options.get("strategy") or incremental.DEFAULT)
    incremental.strategy(name)
    frozen = await snapshot.freeze(database)
    parent = await _parent(database, settled)
    seen = await snapshot.frames_of(database, parent.manifest.snapshot)
    try:
        material = gather(frozen, frozenset(seen), labels, bool(options.get("again")))
    except MaterialError as error:
        raise RoundError(str(error)) from None
    store = blob_store.connect(settled.blob_url, settled.data / "blobs")
    await snapshot.fetch_images(store, frozen.items, folder / "images")
    epochs, seed = int(options.get("epochs") or EPOCHS), int(options.get("seed") or 0)
    room = options.get("memory_frames")
    memory = Memory(frames=None if room is None else int(room))
    origin = _origin(settled)
    return Plan(folder, frozen, material, parent, origin, labels, epochs, seed, settled.update_step, name, memory)


async def _parent(database: Database, settled: settings.Settings) -> Pack:
    """Return the pack of the newest release that training can start from; else the one of the settings."""
    async with database.read() as session:
        addresses = list(await session.scalars(select(Release.pack).where(counts()).order_by(Release.number.desc())))
    for address in addresses:
        try:
            pack = open_folder(settled.packs / address)
            await asyncio.to_thread(read_pack, pack)
        except (PackError, StartError):
            continue
        return pack
    return _origin(settled)


def _origin(settled: settings.Settings) -> Pack:
    try:
        return packs.find(settled.pack, settled.packs)
    except PackError as error:
        raise RoundError(f"no pack to start from: {error}") from None


def _lesson(plan: Plan) -> Lesson:
    """Return what the round's strategy makes of its material."""

    def shown(items: Sequence[snapshot.Labelled]) -> list[Example]:
        return snapshot.examples(items, plan.images, plan.labels)

    teacher = network_from(plan.parent, tuple(plan.parent.manifest.labels))
    task = Task(teacher, plan.labels, shown(plan.material.new), shown(plan.material.past), plan.memory, plan.seed)
    return incremental.strategy(plan.strategy).prepare(task)


def _train(plan: Plan, lesson: Lesson, report: Tell) -> tuple[Any, dict[str, float]]:
    start = network_from(plan.origin if lesson.fresh else plan.parent, plan.labels)
    model: families.AnyConfig = start.config
    steps = min(MAX_STEPS, max(MIN_STEPS, plan.epochs * len(lesson.examples) // BATCH))
    config = TrainConfig(
        model=model, steps=steps, batch=BATCH, rate=families.of(model).tuning_rate, warmup=steps // 10,
        augment="light", freeze_norms=True, average=0.99, evaluate_every=0, save_every=50, seed=plan.seed,
        workers=1 if (os.cpu_count() or 1) > 1 else 0, train=lesson.train,
    )  # fmt: skip
    run = Run(
        config, lesson.examples, [], plan.folder / "train", lesson.shares, start.state_dict(), tutor=lesson.tutor
    )

    def follow(row: dict[str, Any]) -> None:
        low, high = TRAINING_SPAN
        done = row["step"] / row["steps"]
        report(
            {"state": "training", "progress": low + (high - low) * done, "eta_s": row["eta_s"],
             "detail": f"step {row['step']} of {row['steps']}, loss {row['loss']:.2f}"}
        )  # fmt: skip

    result = run.run(follow)
    return result.network, {"train_s": result.seconds}


def _export(plan: Plan, network: Any, training: list[Example]) -> Pack:
    folder = plan.folder / "pack"
    if (folder / MANIFEST).exists():
        return open_folder(folder)
    if plan.step:
        shown = _prepared(network, training[:: max(1, len(training) // FRAMES)][:FRAMES])
        round_network(network, read_pack(plan.parent)[1], list(shown), plan.step)
    config = network.config
    manifest = plan.parent.manifest
    threshold = manifest.score_threshold
    if plan.frozen.judging:
        held = snapshot.examples(plan.frozen.judging, plan.images, plan.labels)
        threshold = best_threshold(detect(network, held, next(network.parameters()).device), threshold)
    about = Ingredients(
        name=f"{manifest.name.split('+')[0]}+{plan.folder.name}",
        size=config.size, labels=config.labels, tags=config.tags,
        config=msgspec.to_builtins(config), height=config.height, width=config.width,
        score_threshold=threshold, nms_iou=manifest.nms_iou, parent=plan.parent.address,
        snapshot=plan.frozen.address, producer=f"wayside {edge.__version__}",
    )  # fmt: skip
    inputs = parity_inputs(plan.parent) or noise_frames(3, config.height, config.width)
    covered = _covered(network, training)
    return build(network, about, folder, inputs, covered)


def _prepared(network: Any, examples: list[Example]) -> Iterator[NDArray[np.uint8]]:
    """Yield the images of `examples` that can be read as `network` is fed with them, uint8 ``[1, 3, H, W]``."""
    spec = Input(height=network.config.height, width=network.config.width)
    images = (read_image(str(example.path)) for example in examples)
    return (prepared([image], spec)[0] for image in images if image is not None)


def _covered(network: Any, training: list[Example]) -> NDArray[np.float32] | None:
    """Return prototypes ``[P, D]`` of the frames that the network was trained on; None where it has no embedding."""
    inputs = _prepared(network, training[:: max(1, len(training) // SAMPLE)])
    points = embeddings(reference(network), inputs)
    return choose(points) if len(points) else None


def _judge(plan: Plan, pack: Pack) -> Report | None:
    """Return how `pack` does on the held-back frames, None where no person has answered any."""
    judging = plan.frozen.judging
    if not judging or not any(item.labels for item in judging):
        return None
    with Model(pack, "auto", threads=max(1, (os.cpu_count() or 2) // 2)) as model:
        return evaluate(model, plan.images, snapshot.truth(judging, plan.labels))


def _result(plan: Plan, pack: Pack, before: Report | None, after: Report | None) -> dict[str, Any]:
    held = len(plan.frozen.judging)
    if before is None or after is None or after.ap50 is None:
        detail = "done; no held-back frame with a person's labels to judge it by"
    else:
        detail = f"AP50 {before.ap50 or 0:.3f} before, {after.ap50:.3f} after, on {held} held-back frames"
    return {
        "pack": pack.address, "detail": detail, "held_back": held,
        "ap_before": before and before.ap, "ap_after": after and after.ap,
        "ap50_before": before and before.ap50, "ap50_after": after and after.ap50,
    }  # fmt: skip
