"""A centre's data with frames that people labelled, and the smallest packs to start from."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from central import settings
from central.annotate.datasets import BLOCK, held_back
from central.learn import families
from central.learn.data import Example
from central.learn.families import AnyConfig
from central.learn.models import ModelConfig
from central.store import blobs as blob_store
from central.store import database as databases
from central.store.migrations import migrate
from central.store.models import Annotation, Frame, LabelRevision, Node
from export.build import Ingredients, build, noise_frames
from protocols.pack import Pack
from tests.central.learn.conftest import LABELS, SIDE
from tests.central.learn.tiny import scramble

PROFILE = "\n".join(f"  - {{name: {name}, color: '#11223{i}'}}" for i, name in enumerate(LABELS))


def profile(folder: Path, labels: Sequence[str] = LABELS, tags: Sequence[str] = ()) -> Path:
    """Write a profile of `labels` and `tags` into `folder` and return its path."""
    lines = "\n".join(f"  - {{name: {name}, color: '#11223{i}'}}" for i, name in enumerate(labels))
    path = folder / "profile.yaml"
    said = "\n".join(f"  - {{name: {name}}}" for name in tags)
    path.write_text(f"name: shapes\nlabels:\n{lines}\n" + (f"tags:\n{said}\n" if tags else ""))
    return path


def smallest(labels: tuple[str, ...] = LABELS) -> ModelConfig:
    """Return the configuration of the smallest network of ours."""
    return ModelConfig(size="tiny", labels=labels, tags=labels, height=SIDE, width=SIDE, top_k=20, embedding=16)


def packed(config: AnyConfig, folder: Path) -> tuple[Any, Pack]:
    """Return a network of `config` with random weights, and its pack in `folder`."""
    network = scramble(families.of(config).build(config))
    about = Ingredients(
        name="first", size=config.size, labels=config.labels, tags=config.tags, config=msgspec.to_builtins(config),
        height=SIDE, width=SIDE, nms_iou=network.nms_iou,
    )  # fmt: skip
    return network, build(network, about, folder, noise_frames(1, SIDE, SIDE))


async def fill(
    data: Path, examples: Sequence[Example], labels: Sequence[str] = LABELS, node: str = "n1", first: int = 0,
    **columns: Any,
) -> list[str]:
    """Store `examples`, from number `first` on, as frames that a person labelled, every fifth of them held back.

    Returns their ids; `columns` are of every frame.
    """  # fmt: skip
    settled = settings.load(data=data)
    database, blobs = databases.connect(settled.database), blob_store.connect(None, data / "blobs")
    await migrate(database.engine)
    held, kept = ([i for i in range(100 * BLOCK) if held_back("c1", i) is back] for back in (True, False))
    made = []
    async with database.write() as session:
        if await session.get(Node, node) is None:
            session.add(Node(name=node))
            await session.flush()
        for i, example in enumerate(examples, first):
            name, image = f"{i:08x}-0000-7000-8000-{sum(map(ord, node)):012x}", example.path.read_bytes()
            made.append(name)
            plain: dict[str, Any] = {"complete_for": list(labels), "state": "labelled", "sha256": f"{i:063x}{node[-1]}"}
            session.add(
                Frame(
                    id=name, node=node, camera="c1", boot="b1", sequence=i, index=(kept if i % 5 else held)[i],
                    captured_at=datetime.now(UTC), width=SIDE, height=SIDE, size_bytes=len(image),
                    blob=f"frames/{name}.jpg", revision=1, **{**plain, **columns},
                )
            )  # fmt: skip
            await session.flush()
            for box, label in zip(example.boxes.tolist(), example.classes.tolist(), strict=True):
                place = dict(zip(("x1", "y1", "x2", "y2"), box, strict=True))
                session.add(Annotation(frame=name, label=labels[label], source="person", confirmed=True, **place))
            session.add(LabelRevision(frame=name, revision=1, author="anna", seconds=4.0))
            await blobs.put([(f"frames/{name}.jpg", image)])
    await database.close()
    return made
