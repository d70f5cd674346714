"""``wayside-central train tags``: the tag head of a pack, from tags that are known in part."""

from __future__ import annotations

import asyncio
import json
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec
import numpy as np
import torch
import typer
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from central import settings as settings_module
from central.annotate import profile
from central.annotate.profile import ProfileError
from central.commands.common import CommandError, plain_errors, result, say, store
from central.learn.detect.coco import DatasetError
from central.learn.models import ModelConfig, Network
from central.learn.models.config import Semantic
from central.learn.start import LAST, StartError, network_from
from central.learn.tags import calibrate, data, frames, maps, plots
from central.learn.tags.config import TagsConfig
from central.learn.tags.data import Tagged
from central.learn.tags.metrics import TagReport, report
from central.learn.tags.train import TagsError, Watch, scores, through, train
from central.learn.tags.words import WordsError
from central.settings import Settings
from central.store import blobs as blob_store
from central.store.blobs import BlobError
from edge.runtime import RuntimeFault, packs
from export import checkpoint
from export.graph import ExportError
from export.run import AVERAGE, load_run
from protocols import files
from protocols.pack import PackError
from protocols.slots import SlotError

FRAMES: Final = "frames"
MAPS: Final = "maps"
"""Folders of a run: images of the centre's frames, and feature maps."""
LEAST: Final = 2
"""Images known to have a tag, and to lack it, below which the tag cannot be learned."""
FAULTS: Final = (
    DatasetError, StartError, TagsError, WordsError, SlotError, PackError, RuntimeFault, ProfileError, BlobError,
    ExportError, checkpoint.CheckpointError, CommandError, ValueError,
)  # fmt: skip


@dataclass(frozen=True)
class Started:
    """What training starts from: a network, the figures of its pack or run, and the threshold of its boxes."""

    network: Network
    threshold: float
    figures: dict[str, float]


def start_from(source: str) -> Started:
    """Return the network of the run folder or pack `source`. Raises StartError, PackError, ExportError."""
    folder = Path(source)
    if folder.is_dir() and (folder / LAST).is_file():
        network, _, said = load_run(folder)
        threshold = float(said.get("score_threshold", 0.3))
        figures = {"ap50": float(said["ap50"])} if "ap50" in said else {}
    else:
        with tempfile.TemporaryDirectory() as scratch:
            pack = packs.find(source, Path(scratch))
            network = network_from(pack, tuple(pack.manifest.labels))
        threshold, figures = pack.manifest.score_threshold, dict(pack.manifest.metrics)
    if not isinstance(network, Network):
        raise StartError(f"{source}: tags are learned on networks of our own family; this is another one")
    return Started(network.eval(), threshold, figures)


def vocabulary(labels: tuple[str, ...], known: Tagged) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the tags to learn, and those of which too little is known: the classes `labels` first, as a round expects
    them there, then whatever some images have and some lack."""
    found: list[str] = list(labels)
    left: list[str] = []
    for column, name in enumerate(known.names):
        own = known.labels[:, column]
        enough = min(int((own > 0).sum()), int((own < 0).sum())) >= LEAST
        if name not in labels:
            (found if enough else left).append(name)
    return tuple(found), tuple(left)


async def _frames(settings: Settings, names: tuple[str, ...], folder: Path, single: bool) -> Tagged:
    async with store(settings) as database:
        blobs = blob_store.connect(settings.blob_url, settings.data / "blobs")
        return await frames.gather(database, blobs, names, folder, single)


def gather(
    parts: list[str], centre: Settings | None, labels: tuple[str, ...], out: Path, single: bool = False
) -> Tagged:
    """Return the tagged images of all ``FILE:IMAGES`` and of the centre's answers, `single` ones too if asked for.

    Raises DatasetError.
    """
    found = []
    for part in parts:
        truth, _, images = part.partition(":")
        if not images:
            raise DatasetError(f"{part}: give FILE:IMAGES, a COCO file, table or list and the folder of its images")
        found.append(data.load(Path(truth), Path(images)))
    if centre is not None:
        own = profile.current(centre)
        names = tuple(dict.fromkeys((*labels, *own.label_names, *own.tag_names)))
        answered = asyncio.run(_frames(centre, names, out / FRAMES, single))
        if answered.paths:
            found.append(answered)
    if not found:
        raise DatasetError("no image with a tag: give --train FILE:IMAGES, or --data with frames that people answered")
    return data.join(found)


def grown(network: Network, tags: tuple[str, ...], config: TagsConfig, head: Any) -> Network:
    """Return `network` with the trained tag `head` in place of its own; all else stays as it is, to the bit."""
    size = Semantic(width=config.width, attention=config.attention)
    model = msgspec.structs.replace(network.config, tags=tags, semantic=size)
    made = Network(model)
    weights = {n: t for n, t in network.state_dict().items() if not n.startswith("tags.")}
    weights |= {f"tags.{n}": t for n, t in head.state_dict().items()}
    checkpoint.load_into(made, weights)
    return made.eval()


def save(network: Network, started: Started, out: Path, config: TagsConfig, answer: dict[str, Any]) -> None:
    """Write the run folder that ``wayside-export build`` makes a pack of. Raises OSError."""
    about: dict[str, object] = {
        "config": {"model": msgspec.to_builtins(network.config)},
        "tags": msgspec.to_builtins(config),
    }
    checkpoint.write(out / LAST, {AVERAGE + name: tensor for name, tensor in network.state_dict().items()}, about)
    told = {"score_threshold": started.threshold, **started.figures, "tags": answer}
    files.write_atomic(out / "result.json", json.dumps(told, indent=1).encode())


def over(told: TagReport, names: tuple[str, ...]) -> float | None:
    """Return the mAP 0..1 of `told` over the tags `names` alone; None where none of them has an AP."""
    values = [row["ap"] for name, row in told.tags.items() if name in names and row["ap"] is not None]
    return float(np.mean(values)) if values else None


def before(network: Network, watched: maps.Maps, truth: Tagged) -> TagReport | None:
    """Return how the tag head that is replaced does on the images held back; None where it has none of their tags."""
    model: ModelConfig = network.config
    if network.tags is None or not set(model.tags) & set(truth.names):
        return None
    with torch.no_grad():
        logits = network.tags(torch.from_numpy(np.asarray(watched, np.float32)))
    return report(logits.numpy(), data.aligned(truth, model.tags).labels, model.tags)


class _Bar:
    """Progress on standard error."""

    def __init__(self, title: str, total: int) -> None:
        self.bar = Progress(
            TextColumn(title), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TextColumn("{task.fields[n]}"),
            console=Console(stderr=True),
        )  # fmt: skip
        self.task = self.bar.add_task(title, total=total, n="")

    def __enter__(self) -> _Bar:
        self.bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.bar.stop()

    def at(self, done: int, note: str = "") -> None:
        """Show `done`."""
        self.bar.update(self.task, completed=done, n=note)


def _note(row: dict[str, Any]) -> str:
    return f"mAP {100 * row['map']:.1f}" if "map" in row else ""


def propose(network: Network, settings: Settings) -> int:
    """Propose the network's tags for the frames that wait at the centre, and return for how many."""
    look = maps.Backbone(network)
    head, names = network.tags, network.config.tags
    assert head is not None

    def tags(image: NDArray[np.uint8]) -> dict[str, float]:
        with torch.no_grad():
            logits = head(torch.from_numpy(look(image))[None])[0]
        return {name: float(score) for name, score in zip(names, logits.sigmoid(), strict=True)}

    async def work() -> int:
        async with store(settings) as database:
            blobs = blob_store.connect(settings.blob_url, settings.data / "blobs")
            own = profile.current(settings)
            with _Bar("proposing tags", 0) as bar:
                return await frames.propose(
                    database, blobs, tags, own.tag_names,
                    report=lambda done, every: bar.bar.update(bar.task, completed=done, total=every),
                )  # fmt: skip

    return asyncio.run(work())


def learn(
    started: Started, known: Tagged, config: TagsConfig, out: Path, hidden: float
) -> tuple[Network, dict[str, Any]]:
    """Train on `known`, judge on what is held back, write the run into `out`, and return network and figures.

    Of what is known about the images to learn from, the share `hidden` (0..1) is kept. Raises TagsError.
    """
    network = started.network
    tags, left = vocabulary(network.config.labels, known)
    if left:
        say(f"{', '.join(left)}: not learned, as fewer than {LEAST} images are known to have it, or to lack it")
    known = data.aligned(known, tags)
    with _Bar("feature maps", len(known.paths)) as bar:
        own, unread = maps.cached(maps.Backbone(network), known.paths, out / MAPS, bar.at)
    usable = np.setdiff1d(np.arange(len(known.paths)), np.array(unread, np.int64))
    known, own = known.take(usable), np.asarray(own)[usable]
    judged = data.held_back(known, seed=config.seed)
    labels = data.hide(known.labels[~judged], hidden, config.seed)
    truth, watched = known.take(np.flatnonzero(judged)), own[judged]
    with _Bar("training tags", config.epochs) as bar:
        trained = train(
            config, own[~judged], labels, tags, Watch(watched, truth.labels),
            lambda row: bar.at(row["epoch"] + 1, _note(row)),
        )  # fmt: skip
    logits = through(trained.network, watched)[0]
    slope, offset = calibrate.platt(logits, torch.from_numpy(truth.labels.astype(np.float32)))
    head = trained.network.fold()
    calibrate.apply(head, slope, offset)
    told = report(scores(trained.network, watched), truth.labels, tags)
    old = before(network, watched, truth)
    answer: dict[str, Any] = {
        "map": told.map, "before": None if old is None else old.map,
        "after": None if old is None else over(told, network.config.tags), "tags": msgspec.to_builtins(told.tags),
        "prf": msgspec.to_builtins(told.prf), "top3": msgspec.to_builtins(told.top), "images": len(labels),
        "judged": len(truth.paths), "known": float((labels != 0).mean()), "left_out": list(left),
        "unread": len(unread), "slope": slope, "offset": offset,
    }  # fmt: skip
    made = grown(network, tags, config, head)
    save(made, started, out, config, answer)
    files.write_atomic(out / "history.json", json.dumps(trained.history, indent=1).encode())
    plots.curves(trained.history, out / "curves.png")
    plots.per_tag(told, out / "tags.png")
    return made, answer


def train_tags(
    out: Annotated[Path, typer.Option(help="Run folder: wayside-export build makes a pack of it.")],
    parts: Annotated[
        list[str] | None, typer.Option("--train", help="FILE:IMAGES; COCO, CSV table or JSON list; repeatable")
    ] = None,
    folder: Annotated[
        Path | None, typer.Option("--data", help="Folder of a centre: learn from what people answered there, too")
    ] = None,
    start: Annotated[str, typer.Option(help="Backbone and other heads: a run folder, a pack, or base")] = "base",
    method: Annotated[str, typer.Option(help="A file of central/learn/tags/methods")] = "hst",
    words: Annotated[str, typer.Option(help="shipped, learned, or the path of an embedding")] = "shipped",
    epochs: Annotated[int, typer.Option(min=1)] = 20,
    batch: Annotated[int, typer.Option(min=2)] = 32,
    rate: Annotated[float, typer.Option(min=1e-8)] = 3e-3,
    width: Annotated[int, typer.Option(min=8, help="Numbers per tag feature")] = 64,
    attention: Annotated[int, typer.Option(min=4, help="Numbers in which places and tags are compared")] = 32,
    hidden: Annotated[float, typer.Option("--known", min=0.0, max=1.0, help="Hide all but this share")] = 1.0,
    proposals: Annotated[bool, typer.Option("--propose", help="Propose tags for the frames that wait")] = False,
    seed: int = 0,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on the last line")] = False,
) -> None:
    """Train the tag head of a network on tags that are known in part; what is unknown is neither present nor absent.

    Example: wayside-central train tags --data /var/lib/wayside --out runs/tags --propose

    Example: wayside-central train tags --train tags.csv:images --start base --out runs/tags
    """
    with plain_errors(*FAULTS):
        if proposals and folder is None:
            raise CommandError("--propose: say with --data at which centre")
        torch.manual_seed(seed)
        quarter = max(1, epochs // 4)
        config = TagsConfig(
            method=method, words=words, epochs=epochs, batch=batch, rate=rate, width=width, attention=attention,
            hidden=width, warm=quarter, refresh=quarter, seed=seed,
        )  # fmt: skip
        out.mkdir(parents=True, exist_ok=True)
        centre = settings_module.load(data=folder) if folder is not None else None
        started = start_from(start)
        known = gather(parts or [], centre, started.network.config.labels, out)
        network, answer = learn(started, known, config, out, hidden)
        if proposals and centre is not None:
            answer["proposed"] = propose(network, centre)
    shown = f"mAP {100 * answer['map']:.1f} on {answer['judged']} images held back; run folder {out}"
    if answer["before"] is not None and answer["after"] is not None:
        own = f"{100 * answer['after']:.1f}, {100 * answer['before']:.1f} before"
        shown += f"; of the tags that there were: {own}"
    result({"out": str(out), "method": method, **answer}, as_json, shown)
