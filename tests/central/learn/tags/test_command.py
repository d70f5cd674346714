"""``train tags`` and ``evaluate-tags`` on a handful of pictures: from a table to a pack whose tags are right."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import cv2
import msgspec
import numpy as np
import pytest
import torch
import typer
from sqlalchemy import select
from typer.testing import CliRunner

from central.commands.common import load as load_settings
from central.commands.common import store
from central.learn.data import Example
from central.learn.models import ModelConfig, build
from central.learn.start import LAST, network_from
from central.learn.tags.command import train_tags, vocabulary
from central.learn.tags.data import load
from central.learn.tags.evaluate_command import evaluate_tags
from central.store import blobs as blob_store
from central.store.models import Frame, Node
from export import checkpoint
from export.run import AVERAGE, build_run

Shapes = Callable[[int], list[Example]]


def program(command: Callable[..., None]) -> typer.Typer:
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command()(command)
    return app


@pytest.fixture
def start(tmp_path: Path) -> Path:
    """The run folder of an untrained tiny network for squares and discs."""
    torch.manual_seed(0)
    labels = ("square", "disc")
    model = ModelConfig(size="tiny", labels=labels, tags=labels, height=64, width=64, top_k=20, embedding=16)
    network = build(model).eval()
    folder = tmp_path / "start"
    folder.mkdir()
    tensors = {AVERAGE + name: tensor for name, tensor in network.state_dict().items()}
    checkpoint.write(folder / LAST, tensors, {"config": {"model": msgspec.to_builtins(model)}})
    (folder / "result.json").write_text('{"score_threshold": 0.4, "ap50": 0.5}')
    return folder


def table(examples: list[Example], path: Path) -> Path:
    """Write which of both shapes is in each picture; every third cell is unknown; `odd` is known of none."""
    rows = ["file,square,disc,odd,both"]
    for number, example in enumerate(examples):
        seen = [1 if c in example.classes else -1 for c in range(2)]
        cells = ["?" if (number + c) % 3 == 0 else str(v) for c, v in enumerate(seen)]
        rows.append(f"{example.path.name},{cells[0]},{cells[1]},,{1 if sum(seen) == 2 else -1}")
    path.write_text("\n".join(rows) + "\n")
    return path


def test_train_tags__from_a_table_to_a_pack(shapes: Shapes, start: Path, tmp_path: Path) -> None:
    examples = shapes(60)
    truth, images = table(examples, tmp_path / "t.csv"), examples[0].path.parent
    given = ["--train", f"{truth}:{images}", "--start", str(start), "--out", str(tmp_path / "run"), "--epochs", "30"]
    given += ["--width", "16", "--attention", "8", "--batch", "8", "--rate", "1e-2", "--json"]
    done = CliRunner().invoke(program(train_tags), given)
    assert done.exit_code == 0, done.output
    answer = json.loads(done.stdout.splitlines()[-1])
    assert answer["left_out"] == ["odd"] and answer["judged"] == 12 and answer["before"] is not None
    judged = [answer["tags"][name]["ap"] for name in ("square", "disc") if answer["tags"][name]["ap"] is not None]
    assert answer["after"] == pytest.approx(np.mean(judged))
    assert answer["map"] > 0.5
    assert {p.name for p in (tmp_path / "run").iterdir()} >= {"curves.png", "tags.png", "history.json", LAST}

    pack = build_run(tmp_path / "run", tmp_path / "pack", [], [], "tagged", "", None)
    assert pack.manifest.tags == ["square", "disc", "both"] and pack.manifest.score_threshold == 0.4
    network = network_from(pack, ("square", "disc"))
    before = checkpoint.read(start / LAST)[0]
    assert all(torch.equal(t, before[AVERAGE + n]) for n, t in network.state_dict().items()
               if not n.startswith("tags.") and "num_batches" not in n)  # fmt: skip

    judged = ["--pack", str(tmp_path / "pack"), "--truth", str(truth), "--images", str(images)]
    found = CliRunner().invoke(program(evaluate_tags), [*judged, "--plot", str(tmp_path / "p.png"), "--json"])
    assert found.exit_code == 0, found.output
    row = json.loads(found.stdout.splitlines()[-1])
    assert row["map"] > 0.8 and row["images"] == 60 and (tmp_path / "p.png").is_file()
    assert set(row["prf"]) == {"cp", "cr", "cf1", "op", "or", "of1"}


async def answered(data: Path, count: int) -> None:
    """Make a centre in `data` with `count` frames, bright by day and dark by night, and one of each that waits."""
    settings = load_settings(data=data)
    async with store(settings, make=True) as database:
        blobs = blob_store.connect(settings.blob_url, settings.data / "blobs")
        async with database.write() as session:
            session.add(Node(name="n1"))
            await session.flush()
            for number in range(count + 2):
                dark = number % 2
                said = {"night": "present" if dark else "absent", "day": "absent" if dark else "present"}
                waits = number >= count
                session.add(
                    Frame(
                        id=f"{number:08x}-0000-7000-8000-000000000000", node="n1", camera="c1", boot="b",
                        sequence=number, captured_at=datetime.now(UTC), width=64, height=64, size_bytes=1,
                        sha256=f"{number:064x}", blob=f"frames/{number}.jpg", tags={} if waits else said,
                        state="pending" if waits else "labelled",
                    )
                )  # fmt: skip
                noise = np.random.default_rng(number).integers(0, 40, (64, 64, 3)) + (10 if dark else 200)
                jpeg = cv2.imencode(".jpg", noise.astype(np.uint8))[1].tobytes()
                await blobs.put([(f"frames/{number}.jpg", jpeg)])


async def proposals(data: Path) -> list[dict[str, float]]:
    async with store(load_settings(data=data)) as database, database.read() as session:
        rows = await session.scalars(select(Frame).where(Frame.state == "pending").order_by(Frame.id))
        return [dict(row.tag_proposals) for row in rows]


def test_train_tags__from_a_centre_and_back_as_proposals(start: Path, tmp_path: Path) -> None:
    data = tmp_path / "centre"
    asyncio.run(answered(data, 40))
    given = ["--data", str(data), "--start", str(start), "--out", str(tmp_path / "run"), "--epochs", "12", "--propose"]
    given += ["--width", "16", "--attention", "8", "--batch", "8", "--rate", "1e-2", "--json"]
    done = CliRunner().invoke(program(train_tags), given)
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout.splitlines()[-1])["proposed"] == 2
    bright, dark = asyncio.run(proposals(data))
    assert set(bright) == {"day", "night"}
    assert bright["day"] > 0.5 > bright["night"] and dark["night"] > 0.5 > dark["day"]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "no image with a tag"),
        (["--train", "nothing.csv"], "FILE:IMAGES"),
        (["--train", "nothing.csv:images"], "cannot be read"),
        (["--method", "magic", "--train", "{truth}"], "no 'magic'"),
        (["--words", "none.txt", "--train", "{truth}"], "not word vectors"),
        (["--propose"], "--data"),
        (["--start", "nowhere"], "nowhere"),
    ],
)
def test_train_tags__wrong_use_is_one_line(
    shapes: Shapes, start: Path, tmp_path: Path, arguments: list[str], says: str
) -> None:
    examples = shapes(6)
    own = f"{table(examples, tmp_path / 't.csv')}:{examples[0].path.parent}"
    given = [argument.format(truth=own) for argument in arguments]
    if "--start" not in given:
        given += ["--start", str(start)]
    done = CliRunner().invoke(program(train_tags), [*given, "--out", str(tmp_path / "run")])
    assert done.exit_code == 2
    assert says in done.stderr and "Traceback" not in done.stderr


def test_vocabulary__classes_first_then_what_can_be_learned(tmp_path: Path) -> None:
    for name in "abcd":
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "t.csv").write_text("file,rain,car,fog\na,1,1,1\nb,1,-1,\nc,-1,1,\nd,-1,1,-1\n")
    assert vocabulary(("car", "bus"), load(tmp_path / "t.csv", tmp_path)) == (("car", "bus", "rain"), ("fog",))
