"""What a round depends on, frozen before it begins: a resumed round reads it back rather than asking anew.

database, settings, options -> Plan -> plan.json          what is labelled meanwhile waits for the next round
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import msgspec
from sqlalchemy import select

from central import settings
from central.annotate import profile
from central.learn import incremental, snapshot
from central.learn.data import Example
from central.learn.incremental import Memory
from central.learn.material import Material, MaterialError, contradicting, gather
from central.learn.round import RoundError
from central.learn.round.scenes import counted, vocabulary
from central.learn.snapshot import Frozen, Labelled
from central.learn.start import StartError, network_from, read_pack
from central.learn.transfer import Beginning, TransferError, update_of
from central.learn.transfer_choice import begin
from central.releases.offers import counts
from central.store import blobs as blob_store
from central.store.database import Database
from central.store.models import ProfileVersion, Release
from edge.runtime import packs
from protocols import files
from protocols.pack import Pack, PackError, open_folder

EPOCHS: Final = 20
PLAN: Final = "plan.json"


class Saved(msgspec.Struct, frozen=True):
    """A plan as it is written down."""

    snapshot: str
    items: tuple[Labelled, ...]
    new: tuple[str, ...]
    past: tuple[str, ...]
    notes: tuple[str, ...]
    parent: str
    labels: tuple[str, ...]
    former: dict[str, str]
    epochs: int
    seed: int
    step: float
    strategy: str
    memory_frames: int | None
    running: str = ""
    """Address of the pack that ran, where the round starts from another one."""
    update: str = ""
    beginning: dict[str, Any] = {}
    weights: str = ""
    tags: tuple[str, ...] | None = None
    """Of the network to be; None in plans that know of none: those of the parent."""
    former_tags: dict[str, str] = {}


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
    former: Mapping[str, str] = field(default_factory=dict)
    """Of classes that were renamed since the parent was trained: the name that it knows, by the name of today."""
    other: Pack | None = None
    """The pack that runs, where the round starts from another one."""
    update: str = ""
    """What learns, as it was asked for (`central.learn.transfer.Update`); empty: as the strategy says."""
    beginning: Mapping[str, Any] = field(default_factory=dict)
    """Where it starts, why, and how like other packs were, for the report."""
    weights: Path | None = None
    """A checkpoint whose weights it starts with."""
    tags: tuple[str, ...] | None = None
    """Of the network to be, by their names of today; None: those of the parent."""
    former_tags: Mapping[str, str] = field(default_factory=dict)
    """As `former`, of tags."""

    @property
    def running(self) -> Pack:
        """The pack that runs: what comes of the round is compared with it."""
        return self.other or self.parent

    @property
    def running_labels(self) -> tuple[str, ...]:
        """Its classes by their names of today."""
        return self.parent_labels if self.other is None else tuple(self.other.manifest.labels)

    @property
    def images(self) -> Path:
        """Where the images of the snapshot lie."""
        return self.folder / "images"

    @property
    def parent_labels(self) -> tuple[str, ...]:
        """The parent's classes by their names of today."""
        today = {old: new for new, old in self.former.items()}
        return tuple(today.get(label, label) for label in self.parent.manifest.labels)

    @property
    def shared(self) -> frozenset[str]:
        """Classes that the parent knows and that are still wanted."""
        return frozenset(self.labels) & frozenset(self.parent_labels)

    def shown(self, items: Sequence[Labelled]) -> list[Example]:
        """Return `items` for training."""
        return snapshot.examples(items, self.images, self.labels, self.tags or ())

    def today(self, pack: Pack) -> tuple[str, ...]:
        """Return the tags of `pack` by their names of today."""
        now = {old: new for new, old in {**self.former_tags, **self.former}.items()}
        return tuple(now.get(name, name) for name in pack.manifest.tags)

    def network(self, pack: Pack, labels: tuple[str, ...], tags: tuple[str, ...] | None = None) -> Any:
        """Return the network of `pack` for `labels` and `tags` (the pack's own where None), which keep what it knew of
        them by their former names."""
        tags = self.today(pack) if tags is None else tags
        known = _by(self.former, pack.manifest.labels, labels)
        network = network_from(pack, known, _by({**self.former_tags, **self.former}, pack.manifest.tags, tags))
        network.config = msgspec.structs.replace(network.config, labels=labels, tags=tags)
        return network


def _by(former: Mapping[str, str], old: Sequence[str], names: tuple[str, ...]) -> tuple[str, ...]:
    """Return `names`, those of `old` that were renamed by the name that they had there."""
    return tuple(former[n] if former.get(n) in old else n for n in names)


async def plan(database: Database, settled: settings.Settings, round_id: str, options: Mapping[str, Any]) -> Plan:
    """Return the plan of a round: that of before where there is one, else a new one, written down.

    Raises RoundError, SlotError.
    """
    folder = settled.data / "rounds" / round_id
    path = folder / PLAN
    saved = await asyncio.to_thread(_read, path)
    if saved is None:
        saved = await _made(database, settled, options)
        files.make_folder(folder)
        files.write_atomic(path, msgspec.json.encode(saved))
    found = _opened(saved, settled, folder)
    store = blob_store.connect(settled.blob_url, settled.data / "blobs")
    await snapshot.fetch_images(store, found.frozen.items, found.images)
    return found


def _read(path: Path) -> Saved | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=Saved)
    except FileNotFoundError:
        return None
    except msgspec.MsgspecError as error:
        raise RoundError(f"{path}: not the plan of a round ({error}); start a new round") from None


async def _made(database: Database, settled: settings.Settings, options: Mapping[str, Any]) -> Saved:
    project = profile.current(settled)
    labels = project.label_names
    name = str(options.get("strategy") or incremental.DEFAULT)
    incremental.strategy(name)
    items = await snapshot.labelled(database)
    left, said = contradicting(items)
    out = {item.frame for item in left}
    frozen = await snapshot.freeze(database, tuple(item for item in items if item.frame not in out))
    running = await _parent(database, settled)
    started = await _beginning(database, settled, running, frozen, options)
    parent = started.pack
    seen = await snapshot.frames_of(database, parent.manifest.snapshot)
    try:
        material = gather(frozen, frozenset(seen), labels, bool(options.get("again")), said)
    except MaterialError as error:
        raise RoundError(str(error)) from None
    room = options.get("memory_frames")
    weighed = {item.frame: item for item in (*material.new, *material.past)}
    former = await _former(database, parent.manifest.labels, labels, "renamed")
    former_tags = await _former(database, parent.manifest.tags, project.tag_names, "renamed_tags")
    now = {old: new for new, old in {**former_tags, **former}.items()}
    gone = {now.get(label, label) for label in parent.manifest.labels} - set(labels)
    known = tuple(n for tag in parent.manifest.tags if (n := now.get(tag, tag)) not in gone)
    tags, lacking = vocabulary(known, labels, project.tag_names, counted([*material.new, *material.past]))
    return Saved(
        snapshot=frozen.address, items=tuple(weighed.get(item.frame, item) for item in frozen.items),
        new=tuple(i.frame for i in material.new), past=tuple(i.frame for i in material.past),
        notes=(*material.notes, *lacking), parent=parent.address, labels=labels, former=former,
        epochs=int(options.get("epochs") or EPOCHS), seed=int(options.get("seed") or 0), step=settled.update_step,
        strategy=name, memory_frames=None if room is None else int(room),
        running="" if running.address == parent.address else running.address, update=str(options.get("update") or ""),
        beginning=started.described(), weights="" if started.weights is None else str(started.weights),
        tags=tags, former_tags=former_tags,
    )  # fmt: skip


async def _beginning(
    database: Database, settled: settings.Settings, running: Pack, frozen: Frozen, options: Mapping[str, Any]
) -> Beginning:
    """Return where the round starts. Raises RoundError."""
    seen = await snapshot.frames_of(database, running.manifest.snapshot)
    new = [item.frame for item in frozen.training if item.frame not in seen]
    try:
        update_of(options.get("update"))
        return await begin(database, settled, running, _origin(settled), new, str(options.get("start") or ""))
    except (TransferError, PackError) as error:
        raise RoundError(str(error)) from None


def _opened(saved: Saved, settled: settings.Settings, folder: Path) -> Plan:
    origin = _origin(settled)
    try:
        parent = _known(saved.parent, settled, origin)
        other = _known(saved.running, settled, origin) if saved.running else None
    except PackError as error:
        raise RoundError(f"the pack that this round began from is gone: {error}; start a new round") from None
    by_id = {item.frame: item for item in saved.items}
    material = Material(tuple(by_id[f] for f in saved.new), tuple(by_id[f] for f in saved.past), saved.notes)
    return Plan(
        folder, Frozen(saved.snapshot, saved.items), material, parent, origin, saved.labels, saved.epochs, saved.seed,
        saved.step, saved.strategy, Memory(frames=saved.memory_frames), saved.former, other,
        saved.update, saved.beginning, Path(saved.weights) if saved.weights else None, saved.tags, saved.former_tags,
    )  # fmt: skip


def _known(address: str, settled: settings.Settings, origin: Pack) -> Pack:
    return origin if origin.address == address else open_folder(settled.packs / address)


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


async def _former(database: Database, old: Sequence[str], names: tuple[str, ...], change: str) -> dict[str, str]:
    """Return, of the `names` that a pack with those of `old` knows by a name that they had before, that name.

    `change`: what a version of the profile calls it, ``renamed`` or ``renamed_tags``.
    """
    async with database.read() as session:
        rows = await session.scalars(select(ProfileVersion.changes).order_by(ProfileVersion.version))
        renamed = [dict(row.get(change) or {}) for row in rows]
    today: dict[str, str] = {name: name for name in old}
    for step in renamed:
        today = {name: step.get(now, now) for name, now in today.items()}
    return {now: name for name, now in today.items() if now != name and now in names and now not in old}


async def changed_since(database: Database, settled: settings.Settings, made: Plan) -> list[str]:
    """Return what became of the classes of a plan while its round ran, in words."""
    now = profile.current(settled).label_names
    async with database.read() as session:
        rows = await session.scalars(select(ProfileVersion.changes).order_by(ProfileVersion.version))
        renamed = {old: new for row in rows for old, new in dict(row.get("renamed") or {}).items()}
    notes = []
    for label in made.labels:
        if label in now:
            continue
        if renamed.get(label) in now:
            notes.append(
                f"class {label} was renamed to {renamed[label]} while the round ran: its pack says {label}, and the "
                "next round goes on from there"
            )
        else:
            notes.append(f"class {label} was removed while the round ran: its pack still has it; run another round")
    added = [label for label in now if label not in made.labels and label not in renamed.values()]
    if added:
        notes.append(f"{', '.join(added)} came while the round ran: the next one learns it")
    return notes
