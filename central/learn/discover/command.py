"""``wayside-central train discover``: boxes and outlines from tags, with a few boxes where there are any."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec
import numpy as np
import torch
import typer
from rich.console import Console

from central import settings as settings_module
from central.annotate import profile, proposals
from central.annotate.profile import ProfileError
from central.commands.common import CommandError, plain_errors, result, say, store
from central.learn.data.coco import load
from central.learn.data.dataset import read_image
from central.learn.detect.coco import DatasetError
from central.learn.discover import hints as answers
from central.learn.discover import masks as outlines
from central.learn.discover import targets as found_targets
from central.learn.discover.classify import ClassifyConfig
from central.learn.discover.fit import Drawn, FitConfig
from central.learn.discover.hints import Hints
from central.learn.discover.masks import MaskError
from central.learn.discover.proposals import ProposalError
from central.learn.discover.run import DiscoverConfig, Discoverer, Discovery, discover, held
from central.learn.discover.trunk import Look
from central.learn.start import StartError
from central.learn.tags import data as tagged
from central.learn.tags.command import FRAMES, gather
from central.learn.tags.data import Tagged
from central.learn.tags.train import TagsError
from central.learn.teachers import TeacherError
from central.learn.teachers import find as find_teacher
from central.settings import Settings
from central.store import blobs as blob_store
from central.store.blobs import BlobError
from edge.runtime.prepare import Image
from export.checkpoint import CheckpointError
from protocols import files
from protocols.messages import Box
from protocols.pack import PackError
from protocols.slots import SlotError

TARGETS: Final = "targets.json"
RESULT: Final = "result.json"
EVERY: Final = 200
"""Images between two lines of progress where standard error is no terminal."""
PROPOSED: Final = 0.2
"""Score from which a box is proposed for review."""
FAULTS: Final = (
    DatasetError, StartError, TagsError, ProposalError, MaskError, SlotError, PackError, ProfileError, BlobError,
    CheckpointError, TeacherError, CommandError, ValueError,
)  # fmt: skip


class Progress:
    """Lines on standard error."""

    def __init__(self) -> None:
        self.console = Console(stderr=True, highlight=False)
        self.last = ""

    def __call__(self, doing: str, done: int, every: int) -> None:
        """Tell what is being done."""
        kind = doing.partition(",")[0]
        if kind != self.last or done == every or done % EVERY == 0 or "," in doing:
            self.console.print(f"{doing}: {done} of {every}", markup=False)
        self.last = kind


def boxes_of(parts: list[str], known: Tagged) -> dict[int, Drawn]:
    """Return the boxes of all ``COCO.json:IMAGES`` for the images of `known` that they list. Raises DatasetError."""
    places = {path.resolve(): place for place, path in enumerate(known.paths)}
    found: dict[int, Drawn] = {}
    for part in parts:
        truth, _, images = part.partition(":")
        if not images:
            raise DatasetError(f"{part}: give COCO.json:IMAGES, boxes and the folder of their images")
        for example in load(Path(truth), Path(images), known.names):
            place = places.get(example.path.resolve())
            if place is not None and example.complete.all():
                found[place] = Drawn(example.boxes, example.classes, example.weights)
    return found


def at_centre(known: Tagged, centre: Settings, out: Path) -> tuple[dict[int, Drawn], dict[int, Hints]]:
    """Return what people said of the centre's frames among `known`: boxes of those that were reviewed for every class,
    and clicks."""
    from central.learn.discover.centre import clicks, drawn  # its database is only needed here

    names = {path.stem: place for place, path in enumerate(known.paths) if path.parent == out / FRAMES}

    async def work() -> tuple[dict[int, Drawn], dict[int, Hints]]:
        async with store(centre) as database:
            return await drawn(database, names, known.names), await clicks(database, names, known.names)

    return asyncio.run(work())


def outlined(run: Discovery, paths: list[Path], way: str, model: str) -> Mapping[tuple[int, int], Any]:
    """Return the rings of each target by image and place among its boxes; boxes that a mask does not fill have none."""
    opened = outlines.find(way).open(model, run.look)
    rings = {}
    for place, path in enumerate(paths):
        own, image = run.targets(place), None
        if len(own.boxes):
            image = read_image(str(path))
        if image is not None:
            for number, found in enumerate(outlines.outlines(opened, image, own.boxes.tolist())):
                if found:
                    rings[(place, number)] = found
        if (place + 1) % EVERY == 0:
            say(f"outlines: {place + 1} of {len(paths)}")
    return rings


def outlining(way: str, model: str, look: Look) -> proposals.Outline:
    """Return what makes the outlines of proposals by `way`. Raises MaskError, SlotError."""
    opened = outlines.find(way).open(model, look)

    def outline(image: Image, boxes: Sequence[Box]) -> list[Any]:
        return outlines.outlines(opened, image, boxes)

    return outline


def propose(out: Path, centre: Settings, way: str = "", model: str = "") -> int:
    """Propose boxes of the run for the frames that wait at the centre, and return on how many.

    `way`: of making outlines, which are proposed with them; `model`: the folder that it needs, if any.
    """
    labels = tuple(profile.current(centre).label_names)
    opened = find_teacher("discover").open(str(out), labels, {}, PROPOSED)
    name = proposals.teacher_name("discover", str(out))
    outline = outlining(way, model, Discoverer(out).look) if way else None
    covers = frozenset(labels[i] for i in opened.sees)
    by = proposals.Proposer(name, name, labels, opened.propose, covers, outline=outline)

    async def work() -> int:
        async with store(centre) as database:
            blobs = blob_store.connect(centre.blob_url, centre.data / "blobs")
            done = await proposals.propose(
                database, blobs, by, labels, lambda step: say(str(step["detail"])), again=True
            )
            return int(done["changed"])

    return asyncio.run(work())


def train_discover(
    out: Annotated[Path, typer.Option(help="Run folder; targets.json in it is what train detect learns from.")],
    parts: Annotated[
        list[str] | None, typer.Option("--train", help="FILE:IMAGES of tags; COCO, CSV table or JSON list; repeatable")
    ] = None,
    folder: Annotated[
        Path | None, typer.Option("--data", help="Folder of a centre: learn from what people answered there, too")
    ] = None,
    boxes: Annotated[
        list[str] | None, typer.Option("--boxes", help="COCO.json:IMAGES with boxes of some of the images; repeatable")
    ] = None,
    clicked: Annotated[
        list[str] | None, typer.Option("--clicks", help='CLICKS.json:IMAGES, {"file": [["car", x, y]]}; repeatable')
    ] = None,
    labels: Annotated[str, typer.Option(help="Tags to find the objects of, by commas; else all that are known.")] = "",
    trunk: Annotated[
        str, typer.Option(help="tags (learned from the tags), or a pack, run, safetensors, or vision transformer")
    ] = "tags",
    start: Annotated[
        str, typer.Option(help="What a trunk from tags starts from: safetensors, a run, a pack; else from chance")
    ] = "",
    side: Annotated[int, typer.Option(min=64, help="Of the trunk's input, pixels; a multiple of 32")] = 192,
    size: Annotated[str, typer.Option(help="Of a trunk learned from tags: tiny, nano, small or medium")] = "nano",
    trunk_epochs: Annotated[int, typer.Option(min=1, help="Passes of a trunk learned from tags")] = 20,
    ways: Annotated[str, typer.Option("--proposals", help="Files of central/learn/discover/proposals")] = "classical",
    limit: Annotated[int, typer.Option(min=1, max=300, help="Boxes looked at per image")] = 200,
    pack: Annotated[str, typer.Option(help="The pack whose boxes are looked at; for --proposals detector")] = "",
    fixed: Annotated[bool, typer.Option("--fixed", help="Images without a camera are of one that is fixed")] = False,
    tracks: Annotated[
        str, typer.Option(help="Boxes consistent along tracks: auto (where images are frames in a row), on, off")
    ] = "auto",
    transfer: Annotated[str, typer.Option(help="Fill in unknown tags by this method of train tags, such as hst")] = "",
    hidden: Annotated[float, typer.Option("--known", min=0.0, max=1.0, help="Hide all but this share of tags")] = 1.0,
    seeds: Annotated[str, typer.Option(help="What stands for a class: best, several, clusters")] = "best",
    epochs: Annotated[int, typer.Option(min=1, help="Passes of the heads")] = 10,
    masks: Annotated[str, typer.Option(help="Outlines of the targets by: grabcut, activation, sam")] = "",
    teacher: Annotated[str, typer.Option(help="Local folder of the segmenter of --masks sam")] = "",
    proposed: Annotated[bool, typer.Option("--propose", help="Propose boxes for the frames that wait")] = False,
    seed: int = 0,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on the last line")] = False,
) -> None:
    """Find the objects that tags speak of: boxes, and outlines if asked for, from image-level labels.

    Example: wayside-central train discover --train tags.csv:images --out runs/found --masks grabcut

    Example: wayside-central train discover --data /var/lib/wayside --trunk base --out runs/found --propose
    """
    with plain_errors(*FAULTS):
        if proposed and folder is None:
            raise CommandError("--propose: say with --data at which centre")
        torch.manual_seed(seed)
        out.mkdir(parents=True, exist_ok=True)
        config = DiscoverConfig(
            trunk=trunk, start=start, side=side, ways=tuple(w.strip() for w in ways.split(",")), limit=limit, pack=pack,
            tracks=tracks, transfer=transfer, classify=ClassifyConfig(size=size, epochs=trunk_epochs),
            fit=FitConfig(seeds=seeds, epochs=epochs), seed=seed,
        )  # fmt: skip
        centre = settings_module.load(data=folder) if folder is not None else None
        own = tuple(profile.current(centre).label_names) if centre is not None else ()
        known = gather(parts or [], centre, own, out, single=True)
        wanted = tuple(n.strip() for n in labels.split(",")) if labels else own or known.names
        known = tagged.aligned(known, wanted)
        if fixed:
            known = standing(known)
        there = at_centre(known, centre, out) if centre is not None else ({}, {})
        drawn = boxes_of(boxes or [], known) | there[0]
        hints = answers.load(clicked or [], known.names, known.paths) | there[1]
        known = Tagged(known.names, known.paths, tagged.hide(known.labels, hidden, seed), known.groups)
        run = discover(config, known, out, drawn, Progress(), hints)
        rings = outlined(run, list(known.paths), masks, teacher) if masks else {}
        answer = save(run, known, rings, out, [Path(part.partition(":")[2]) for part in parts or []])
        if proposed and centre is not None:
            answer["proposed"] = propose(out, centre, masks, teacher)
    shown = f"{answer['boxes']} boxes on {answer['images']} images; run folder {out}"
    result({"out": str(out), **answer}, as_json, shown)


def standing(known: Tagged) -> Tagged:
    """Return `known` with all images that have no camera on one fixed camera."""
    groups = known.groups or ("",) * len(known.paths)
    return Tagged(known.names, known.paths, known.labels, tuple(group or "camera" for group in groups))


def save(
    run: Discovery, known: Tagged, rings: Mapping[tuple[int, int], Any], out: Path, given: Sequence[Path] = ()
) -> dict[str, Any]:
    """Write the targets of `run` into `out` and return what to tell of them. Raises OSError.

    Names are those below the folder of `given` that holds all images, so that it goes with the targets as it went with
    the tags; where none does, below the one that all images share.
    """
    found = [run.targets(place) for place in range(len(known.paths))]
    people = frozenset(run.drawn)
    listed = [(name, width, height) for name, width, height in held([p.resolve() for p in known.paths])]
    base = common([Path(name) for name, _, _ in listed], [folder.resolve() for folder in given])
    listed = [(str(Path(name).relative_to(base)), width, height) for name, width, height in listed]
    found_targets.write(
        out / TARGETS, found_targets.coco(known.names, listed, found, run.labels, people, rings)
    )  # fmt: skip
    scores = np.concatenate([f.scores for f in found]) if found else np.zeros(0)
    answer = {
        "targets": str(out / TARGETS), "images_folder": str(base), "images": len(found), "boxes": len(scores),
        "mean_score": float(scores.mean()) if len(scores) else 0.0, "outlines": len(rings), "drawn": len(people),
        "clicked": sum(len(h.clicks) for h in run.hints.values()), "tracked": len(run.tracked),
        "known": float((known.labels != 0).mean()), "filled": float((run.labels != 0).mean()),
        "unread": len(run.bags.unread),
    }  # fmt: skip
    files.write_atomic(out / RESULT, msgspec.json.format(msgspec.json.encode(answer)))
    return answer


def common(paths: Sequence[Path], given: Sequence[Path] = ()) -> Path:
    """Return the folder that holds all `paths`: one of `given`, else the deepest."""
    for folder in given:
        if all(path.is_relative_to(folder) for path in paths):
            return folder
    shared = paths[0].parent
    while not all(path.is_relative_to(shared) for path in paths):
        shared = shared.parent
    return shared
