"""A run of discovery: from images and tags to boxes, in a folder that can be opened again.

    tags -> trunk (given, or learned from the tags) -> boxes, features -> heads -> targets
    run folder: trunk.safetensors (where it was learned), features.npz, heads.safetensors, targets.json, result.json
"""

from __future__ import annotations

import shutil
import tempfile
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray

from central.learn.discover import classify, complete, features, temporal
from central.learn.discover.classify import ClassifyConfig
from central.learn.discover.features import Bag, Bags, Projection, bag_of
from central.learn.discover.fit import Drawn, Fit, FitConfig, Judged, Lessons, certain, judge
from central.learn.discover.heads import Heads
from central.learn.discover.heed import heeded, hinted
from central.learn.discover.hints import NONE, Hints, told
from central.learn.discover.proposals import LIMIT, Kit, Opened, several
from central.learn.discover.targets import Targets, of_drawn
from central.learn.discover.trunk import SIDE, Look, from_tags, open_trunk, save
from central.learn.start import StartError, weights_from
from central.learn.tags.data import Tagged
from edge.runtime import packs
from edge.runtime.prepare import Image
from export import checkpoint

HEADS: Final = "heads.safetensors"
TRUNK: Final = "trunk.safetensors"
PACK: Final = "pack.wpack"
KIND: Final = "discover"
OWN: Final = "tags"
"""The trunk that is learned from the tags themselves."""
STILL: Final = "motion"
AUTO, ON, OFF = "auto", "on", "off"

Report = Callable[[str, int, int], None]
"""Told what is being done, and how many of how many are."""


class DiscoverConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a run is asked to do."""

    trunk: str = OWN
    """``tags``: learned from the tags; else a pack, a run, safetensors, or the folder of a vision transformer."""
    start: str = ""
    """What a trunk from tags starts from: a pack, a run, safetensors; empty: chance."""
    side: int = SIDE
    ways: tuple[str, ...] = ("classical",)
    """To find boxes: files of ``central/learn/discover/proposals``."""
    limit: int = 200
    """Boxes of one image, at most LIMIT."""
    pack: str = ""
    """For the way ``detector``."""
    tracks: str = "auto"
    """``auto``: targets are made consistent along tracks where images are frames in a row; ``on``: of every camera in
    the order of names; ``off``."""
    transfer: str = ""
    """A method of ``central/learn/tags/methods`` that fills in unknown tags; empty: they stay unknown."""
    classify: ClassifyConfig = ClassifyConfig()
    fit: FitConfig = FitConfig()
    seed: int = 0

    def __post_init__(self) -> None:
        if not 1 <= self.limit <= LIMIT:
            raise ValueError(f"{self.limit} boxes of one image: choose 1 to {LIMIT}")
        if self.tracks not in (AUTO, ON, OFF):
            raise ValueError(f"tracks {self.tracks!r}: choose {AUTO}, {ON} or {OFF}")
        if self.side % 32:
            raise ValueError(f"an input of {self.side} pixels: choose a multiple of 32")


def quiet(doing: str, done: int, every: int) -> None:
    """Report nothing."""


@dataclass
class Discovery:
    """A run that is done."""

    config: DiscoverConfig
    names: tuple[str, ...]
    look: Look
    finder: Opened
    heads: Heads
    bags: Bags
    labels: NDArray[np.int8]
    """``[I, C]`` as learned from: unknown ones filled in where a transfer was sure."""
    sure: NDArray[np.float32]
    drawn: Mapping[int, Drawn] = field(default_factory=dict)
    hints: Mapping[int, Hints] = field(default_factory=dict)
    tracked: Mapping[int, Targets] = field(default_factory=dict)
    """Targets of images that are frames in a row, made consistent along tracks."""

    def judge(self, place: int) -> Judged:
        """Return what the heads say of the boxes of image `place`."""
        return heeded(judge(self.heads, self.bags[place]), self.hints.get(place, NONE))

    def targets(self, place: int) -> Targets:
        """Return the targets of image `place`: what a person drew, else what was discovered."""
        if place in self.drawn:
            return of_drawn(self.drawn[place])
        if place in self.tracked:
            return self.tracked[place]
        own = judge(self.heads, self.bags[place])
        return hinted(own, self.labels[place], self.sure[place], self.hints.get(place, NONE))

    def weak(self, place: int) -> Targets:
        """Return more targets of image `place` than count, weak ones too: what tracks are made of."""
        hints = self.hints.get(place, NONE)
        return hinted(judge(self.heads, self.bags[place]), self.labels[place], self.sure[place], hints, temporal.WEAK)

    def fixed(self, place: int) -> Targets | None:
        """Return what a person drew on image `place`; None where nobody did."""
        return of_drawn(self.drawn[place]) if place in self.drawn else None


def cameras(known: Tagged) -> tuple[list[str], dict[str, list[Path]]]:
    """Return the camera of each image (empty: none), and the images of each camera by name."""
    groups = list(known.groups) if known.groups else [""] * len(known.paths)
    found: dict[str, list[Path]] = defaultdict(list)
    for path, group in zip(known.paths, groups, strict=True):
        if group:
            found[group].append(path)
    return groups, {group: sorted(paths) for group, paths in found.items()}


def trunk_for(config: DiscoverConfig, known: Tagged, out: Path, report: Report = quiet) -> Look:
    """Return the trunk of a run, learned from the tags `known` unless one is given, or is there already."""
    if config.trunk != OWN:
        return open_trunk(config.trunk, config.side)
    path = out / TRUNK
    if path.is_file():
        return open_trunk(str(path), config.side)
    setting = msgspec.structs.replace(config.classify, side=config.side, seed=config.seed)
    start = weights_from(config.start, known.names) if config.start else None
    network = classify.train(
        setting, known.paths, known.labels, start,
        lambda epoch, loss: report(f"trunk from tags, loss {loss:.3f}", epoch + 1, setting.epochs),
    )  # fmt: skip
    out.mkdir(parents=True, exist_ok=True)
    save(network, known.names, config.side, path)
    return from_tags(network, known.names, config.side)


def discover(
    config: DiscoverConfig, known: Tagged, out: Path, drawn: Mapping[int, Drawn] | None = None, report: Report = quiet,
    hints: Mapping[int, Hints] | None = None,
) -> Discovery:  # fmt: skip
    """Learn where what `known` says is there is, write the run into `out` and return it.

    `drawn`: boxes of some images; `hints`: single answers about some. Raises ValueError and its children, SlotError,
    OSError.
    """
    out.mkdir(parents=True, exist_ok=True)
    look = trunk_for(config, known, out, report)
    groups, places = cameras(known)
    finder = several(config.ways, Kit(places, look, config.pack), config.limit)
    count = len(known.paths)
    bags = features.cached(look, finder, known.paths, groups, out, lambda n: report("boxes and features", n, count))
    labels, sure = known.labels, certain(known.labels)
    if config.transfer and (labels == 0).any():
        maps = complete.maps_of(look, known.paths, lambda n: report("maps for tag transfer", n, count))
        labels, sure = complete.complete(maps, labels, known.names, config.transfer, config.seed)
    fit = msgspec.structs.replace(config.fit, seed=config.seed)
    labels = told(labels, hints or {})
    lessons = Lessons(labels, sure, dict(drawn or {}), dict(hints or {}))
    heads = Fit(fit, bags, lessons).run(
        lambda epoch, loss: report(f"heads, loss {loss:.3f}", epoch + 1, fit.epochs)
    )  # fmt: skip
    write(config, known.names, heads, bags, out)
    run = Discovery(config, known.names, look, finder, heads, bags, labels, sure, lessons.drawn, lessons.hints)
    if config.tracks != OFF:
        rows = temporal.rows_of(known.paths, groups, always=config.tracks == ON)
        report("frames in a row", sum(map(len, rows)), count)
        run.tracked = temporal.consistent(rows, run.weak, labels, sure, run.fixed)
    return run


def write(config: DiscoverConfig, names: tuple[str, ...], heads: Heads, bags: Bags, out: Path) -> None:
    """Write what opening the run again needs. Raises OSError."""
    tensors = {f"heads.{n}": t for n, t in heads.state_dict().items()}
    tensors |= {"projection.mean": torch.from_numpy(bags.mean), "projection.matrix": torch.from_numpy(bags.matrix)}
    about: dict[str, Any] = {
        "kind": KIND, "names": list(names), "config": msgspec.to_builtins(config), "maps": heads.maps,
        "stages": len(heads.refine), "hidden": heads.hidden.out_features, "trust": heads.trust,
    }  # fmt: skip
    checkpoint.write(out / HEADS, tensors, about)
    if config.pack and "detector" in config.ways:
        with tempfile.TemporaryDirectory(prefix="wayside-") as scratch:
            source = packs.find(config.pack, Path(scratch)).folder
            shutil.copytree(source, out / "pack", dirs_exist_ok=True)


class Discoverer:
    """A run opened again, for images that it has not seen: boxes of its classes with confidence."""

    def __init__(self, folder: Path) -> None:
        tensors, about = checkpoint.read(folder / HEADS)
        if about.get("kind") != KIND:
            raise StartError(f"{folder}: not a run of wayside-central train discover")
        config = msgspec.convert(about["config"], DiscoverConfig)
        self.names = tuple(str(n) for n in msgspec.convert(about["names"], list[str]))
        source = str(folder / TRUNK) if config.trunk == OWN else config.trunk
        self.look = open_trunk(source, config.side)
        ways = tuple(way for way in config.ways if way != STILL) or ("windows",)
        pack = str(folder / "pack") if (folder / "pack").is_dir() else config.pack
        self.finder = several(ways, Kit({}, self.look, pack), config.limit)
        mean, matrix = tensors["projection.mean"], tensors["projection.matrix"]
        self.projection = Projection(mean, matrix)
        self.heads = Heads(
            matrix.shape[1], len(self.names), int(str(about["maps"])), int(str(about["hidden"])),
            int(str(about["stages"])), float(str(about["trust"])),
        )  # fmt: skip
        checkpoint.load_into(
            self.heads, {n.removeprefix("heads."): t for n, t in tensors.items() if n.startswith("heads.")}
        )
        self.heads.eval()

    def bag(self, image: Image) -> Bag:
        """Return the boxes of a BGR image ``[H, W, 3]`` with what the trunk shows in them."""
        found = self.finder.propose(image, "", None)
        return bag_of(self.look, self.projection, image, found.boxes, found.scores)

    def judge(self, image: Image) -> Judged:
        """Return the boxes of a BGR image with a score for each class."""
        return judge(self.heads, self.bag(image))


def held(paths: Sequence[Path]) -> list[tuple[str, int, int]]:
    """Return name, width and height of each image, as files list them; 0 where it cannot be read."""
    from central.learn.data.dataset import read_image  # fmt: skip

    found = []
    for path in paths:
        image = read_image(str(path))
        height, width = (0, 0) if image is None else image.shape[:2]
        found.append((str(path), width, height))
    return found
