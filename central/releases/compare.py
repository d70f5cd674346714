"""What changed between two packs: classes, data, figures, cameras, bytes, tensors.

Figures per camera are those that a round measured on its held-back frames, before and after (`camera_metrics`); field
accuracy is what people's answers about chance frames say.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from central.annotate import accuracy
from central.annotate.estimate import Interval
from central.releases.registry import delta_path
from central.store.database import Database
from central.store.models import Pack, Snapshot
from protocols import delta
from protocols import pack as packs
from protocols.delta import weights
from protocols.messages import utc_now
from protocols.pack import PackError

log = structlog.get_logger("central.compare")

NAMED: Final = 100
"""Tensors whose names are listed; the rest is counted."""
FIELD_DAYS: Final = 30
CAMERA: Final = "ap50/"
"""Before the camera in the name of a pack's figure for it, and the same for the pack that the round started from."""
CAMERA_BEFORE: Final = "ap50_before/"


@dataclass(frozen=True)
class Data:
    """What two packs were trained on. Counts are None where a snapshot is not known here."""

    before: str | None = None
    after: str | None = None
    frames_before: int | None = None
    frames_after: int | None = None
    labels_before: int | None = None
    labels_after: int | None = None
    frames_added: int | None = None
    frames_removed: int | None = None
    frames_relabelled: int | None = None


@dataclass(frozen=True)
class Camera:
    """One camera with both packs. AP50 0..1; intervals of field accuracy; None where nobody measured it."""

    camera: str
    ap50_before: float | None = None
    ap50_after: float | None = None
    found_before: Interval | None = None
    found_after: Interval | None = None
    right_before: Interval | None = None
    right_after: Interval | None = None


@dataclass(frozen=True)
class Tensors:
    """The weights of the main model."""

    same: int = 0
    changed: int = 0
    added: int = 0
    removed: int = 0
    parameters_changed: int = 0
    """Values in tensors that changed."""
    names: tuple[str, ...] = ()
    """Of those that changed, the first NAMED."""


@dataclass(frozen=True)
class Comparison:
    """What changed from one pack to another."""

    before: str
    after: str
    classes: dict[str, list[str]]
    """``added``, ``removed``, ``kept``."""
    data: Data
    metrics: dict[str, tuple[float | None, float | None]]
    """Before and after, by name."""
    cameras: tuple[Camera, ...]
    full_bytes: int
    delta_bytes: int | None
    """What a node that runs the first fetches to get the second; None where there is no delta."""
    tensors: Tensors = field(default_factory=Tensors)


def camera_metrics(before: Mapping[str, float | None], after: Mapping[str, float | None]) -> dict[str, float]:
    """Return the AP50 of each camera as figures of a pack, on the same frames with the pack that it came from."""
    found = {f"{CAMERA}{camera}": value for camera, value in after.items() if value is not None}
    found |= {f"{CAMERA_BEFORE}{camera}": value for camera, value in before.items() if value is not None}
    return found


def classes(before: Iterable[str], after: Iterable[str]) -> dict[str, list[str]]:
    """Return which labels came, went and stayed, in the order of the packs."""
    old, new = list(before), list(after)
    return {
        "added": [n for n in new if n not in old], "removed": [n for n in old if n not in new],
        "kept": [n for n in new if n in old],
    }  # fmt: skip


def tensors(before: Path, after: Path) -> Tensors:
    """Compare the weights of two model files. Raises OSError."""
    raw_old, raw_new = before.read_bytes(), after.read_bytes()
    old, new = ({w.name: w for w in weights.find(raw)} for raw in (raw_old, raw_new))

    def same(name: str) -> bool:
        a, b = old[name], new[name]
        equal = raw_old[a.start : a.start + a.size] == raw_new[b.start : b.start + b.size]
        return equal and (a.dtype, a.shape) == (b.dtype, b.shape)

    shared = [name for name in new if name in old]
    changed = [name for name in shared if not same(name)]
    count = sum(int(new[name].read(raw_new).size) for name in changed)
    return Tensors(
        len(shared) - len(changed), len(changed), len(set(new) - set(old)), len(set(old) - set(new)), count,
        tuple(changed[:NAMED]),
    )  # fmt: skip


async def _data(session: AsyncSession, before: str | None, after: str | None) -> Data:
    old = await session.get(Snapshot, before) if before else None
    new = await session.get(Snapshot, after) if after else None
    found = Data(
        before, after, frames_before=old.frames if old else None, frames_after=new.frames if new else None,
        labels_before=old.labels if old else None, labels_after=new.labels if new else None,
    )  # fmt: skip
    if old is None or new is None:
        return found
    was, now = ({item["frame"]: item["revision"] for item in row.items} for row in (old, new))
    return replace(
        found, frames_added=len(now.keys() - was.keys()), frames_removed=len(was.keys() - now.keys()),
        frames_relabelled=sum(was[frame] != now[frame] for frame in was.keys() & now.keys()),
    )  # fmt: skip


def _cameras(old: Pack, new: Pack, found: Iterable[accuracy.Accuracy]) -> tuple[Camera, ...]:
    rows: dict[str, dict[str, Any]] = {}
    for name, value in new.metrics.items():
        if name.startswith(CAMERA):
            rows.setdefault(name.removeprefix(CAMERA), {})["ap50_after"] = value
        elif name.startswith(CAMERA_BEFORE) and new.parent == old.address:
            rows.setdefault(name.removeprefix(CAMERA_BEFORE), {})["ap50_before"] = value
    for each in found:
        side = {old.address: "before", new.address: "after"}.get(each.pack)
        if side is not None and (each.found or each.right):
            row = rows.setdefault(f"{each.node}/{each.camera}", {})
            row[f"found_{side}"], row[f"right_{side}"] = each.found, each.right
    return tuple(Camera(camera, **rows[camera]) for camera in sorted(rows))


def _figures(old: Pack, new: Pack) -> dict[str, tuple[float | None, float | None]]:
    names = [n for n in {**old.metrics, **new.metrics} if not n.startswith((CAMERA, CAMERA_BEFORE))]
    return {name: (old.metrics.get(name), new.metrics.get(name)) for name in sorted(names)}


def _sizes(folder: Path, old: str, new: str, measure: bool) -> tuple[int | None, Tensors]:
    """Return the size of the delta and what changed in the weights, as far as the files are here and sound."""
    file = delta_path(folder, delta.file_name(old, new))
    known = file.stat().st_size if file.is_file() else None
    try:
        opened = [packs.open_folder(folder / address) for address in (old, new)]
        if known is None and measure:
            change = delta.choose(opened[0], opened[1])
            known = None if change is None else len(change)
        models = [p.path(p.manifest.variants["fp32"]) for p in opened]
        return known, tensors(models[0], models[1])
    except (PackError, delta.DeltaError, OSError, KeyError) as error:
        log.warning("packs cannot be compared by their files", reason=str(error)[:300])
        return known, Tensors()


async def compare(database: Database, folder: Path, before: Pack, after: Pack, measure: bool = False) -> Comparison:
    """Return what changed from `before` to `after`, whose files are in `folder`.

    `measure`: make the delta to see its size where there is none yet; that takes seconds.
    """
    since = utc_now() - timedelta(days=FIELD_DAYS)
    async with database.read() as session:
        data = await _data(session, before.snapshot, after.snapshot)
        found = await accuracy.accuracies(session, since)
    size, changed = await asyncio.to_thread(_sizes, folder, before.address, after.address, measure)
    return Comparison(
        before.address, after.address, classes(before.labels, after.labels), data, _figures(before, after),
        _cameras(before, after, found), after.size_bytes, size, changed,
    )  # fmt: skip
