"""Moving images between a folder and S3: verified, begun again after any end, nothing gone that a row names."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import delete, select
from typer.testing import CliRunner

from central import cli
from central.ingest import frames
from central.ingest.frames import Checked
from central.store import blobs as stores
from central.store import bundles
from central.store.blobs import BlobAwayError, Blobs
from central.store.database import Database
from central.store.models import Frame
from central.store.move import move
from protocols.messages import Assessment, FrameMessage, Selection, utc_now
from tests.servers.meddler import meddling
from tests.servers.s3 import S3

COUNT = 6


def message(number: int) -> FrameMessage:
    """A frame whose image is one letter, many times."""
    image = bytes([65 + number]) * 5000
    return FrameMessage(
        id=f"01a1fd90-ef51-7c70-995c-{number:012x}", node="n1", boot="b1", sequence=number, index=number, camera="c",
        site="s", time=utc_now(), width=8, height=8, assessment=Assessment(), sha256=hashlib.sha256(image).hexdigest(),
        image=image, selection=Selection(keep=True, probability=0.5, reason="x", policy="budget"),
    )  # fmt: skip


@pytest.fixture
def place(s3: S3, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Blobs]:
    """Make a store of a kind; that on S3 knows the folder that it takes the place of."""
    for name, value in s3.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(bundles, "MAX_BUNDLE", 12_000)  # several batches
    url = s3.url(s3.create())
    return lambda kind: stores.connect(url if kind == "s3" else None, tmp_path / "blobs")


async def fill(db: Database, blobs: Blobs, count: int = COUNT) -> None:
    """Store frames, in two batches."""
    await frames.store(db, blobs, Checked([message(n) for n in range(count // 2)]))
    await frames.store(db, blobs, Checked([message(n) for n in range(count // 2, count)]))


async def images(db: Database, blobs: Blobs) -> int:
    """Return how many images are there, each whole."""
    async with db.read() as session:
        rows = list(await session.scalars(select(Frame)))
    for row in rows:
        assert hashlib.sha256(await blobs.read(row.blob)).hexdigest() == row.sha256
    return len(rows)


@pytest.mark.parametrize(("from_", "to"), [("folder", "s3"), ("s3", "folder")])
async def test_move__all_of_it_and_then_the_source_is_empty(
    db: Database, s3: S3, place: Callable[[str], Blobs], tmp_path: Path, from_: str, to: str
) -> None:
    source, target = place(from_), place(to)
    await fill(db, source)
    source.close()
    done = await move(db, source, target, delete=False)
    assert (done.moved, done.bytes, done.elsewhere, done.damaged, done.freed) == (COUNT, COUNT * 5000, 0, [], None)
    assert await images(db, place("s3")) == COUNT  # who serves from S3 sees both, whichever way they go
    again = await move(db, source, target, delete=True, age_s=-5.0)
    assert (again.moved, again.elsewhere) == (0, COUNT)
    assert again.freed is not None and again.freed >= COUNT * 5000
    assert await images(db, target) == COUNT
    assert list(tmp_path.glob("blobs/frames/*/*.seg")) == [] or to == "folder"


async def test_move__single_objects_too(db: Database, place: Callable[[str], Blobs], tmp_path: Path) -> None:
    source, target = place("folder"), place("s3")
    await fill(db, source)
    async with db.write() as session:
        row = (await session.scalars(select(Frame).limit(1))).one()
        data, row.blob = await source.read(row.blob), "frames/2026-01-01/single.jpg"
    await source.put([("frames/2026-01-01/single.jpg", data)])
    source.close()
    assert (await move(db, source, target, delete=True, age_s=-5.0)).moved == COUNT
    assert not list(tmp_path.glob("blobs/frames/*/*"))
    assert await images(db, target) == COUNT


async def test_move__a_damaged_image_stays_and_is_named(
    db: Database, place: Callable[[str], Blobs], tmp_path: Path
) -> None:
    source, target = place("folder"), place("s3")
    await fill(db, source)
    source.close()
    segment = next(tmp_path.glob("blobs/frames/*/*.seg"))
    with segment.open("r+b") as file:
        file.seek(7)
        file.write(b"!")
    done = await move(db, source, target, delete=True, age_s=-5.0)
    assert (done.moved, done.damaged, done.freed) == (COUNT - 1, [message(0).id], None)
    assert segment.exists()


@pytest.mark.faults
async def test_move__ended_in_the_midst_goes_on(
    db: Database, s3: S3, place: Callable[[str], Blobs], tmp_path: Path
) -> None:
    source = place("folder")
    await fill(db, source)
    source.close()
    with meddling(s3.ports["proxy"]) as meddler:
        target = stores.connect(s3.url(s3.create(), endpoint=meddler.endpoint), tmp_path / "blobs")
        meddler.rule = lambda method, _: "busy" if method == "PUT" and meddler.count("PUT") > 2 else "pass"
        with pytest.raises(BlobAwayError):
            await move(db, source, target, delete=True, age_s=-5.0)
        meddler.rule = lambda *_: "pass"
        assert await images(db, target) == COUNT
        done = await move(db, source, target, delete=False)
        assert 0 < done.moved < COUNT == done.moved + done.elsewhere
        assert await images(db, target) == COUNT


@pytest.mark.faults
async def test_move__what_is_damaged_on_its_way_is_never_named(
    db: Database, s3: S3, place: Callable[[str], Blobs], tmp_path: Path
) -> None:
    source = place("folder")
    await fill(db, source)
    source.close()
    with meddling(s3.ports["proxy"]) as meddler:
        target = stores.connect(s3.url(s3.create(), endpoint=meddler.endpoint), tmp_path / "blobs")
        meddler.rule = lambda method, _: "damage" if method == "GET" else "pass"
        with pytest.raises(Exception, match="not what was stored"):
            await move(db, source, target, delete=True, age_s=-5.0)
    assert await images(db, source) == COUNT


async def test_move__a_frame_deleted_meanwhile_leaves_no_copy(db: Database, place: Callable[[str], Blobs]) -> None:
    source, target = place("folder"), place("s3")
    await fill(db, source)
    source.close()
    plain, kept = target.keep, []

    async def slow(items: list[tuple[str, bytes]]) -> list[str]:
        keys = await plain(items)
        kept.extend(keys)
        if len(kept) == len(keys):
            async with db.write() as session:
                await session.execute(delete(Frame).where(Frame.id == message(0).id))
        return keys

    target.keep = slow  # type: ignore[method-assign, assignment]
    await move(db, source, target, delete=False)
    assert await images(db, target) == COUNT - 1
    with pytest.raises(stores.BlobMissingError):
        await target.read(kept[0])


def test_blobs__commands(
    db: Database, s3: S3, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: Callable[[str], Blobs]
) -> None:
    url = s3.url(s3.create())
    call = CliRunner().invoke
    told = call(cli.app, ["blobs", "move", "folder", "--data", str(tmp_path)])
    assert (told.exit_code, "are to go to where they are" in told.stderr) == (2, True)
    monkeypatch.setenv("WAYSIDE_BLOB_URL", url)
    told = call(cli.app, ["blobs", "check", "--data", str(tmp_path), "--json"])
    assert (told.exit_code, json.loads(told.stdout.splitlines()[-1])["trouble"]) == (0, "")
    told = call(cli.app, ["blobs", "move", "folder", "--delete", "--data", str(tmp_path), "--json"])
    assert (told.exit_code, json.loads(told.stdout.splitlines()[-1])["moved"]) == (0, 0)
    monkeypatch.setenv("WAYSIDE_BLOB_URL", url.replace("s3://", "s3://not-there-"))
    told = call(cli.app, ["blobs", "check", "--data", str(tmp_path)])
    assert (told.exit_code, "no such bucket" in told.stdout + told.stderr) == (1, True)
