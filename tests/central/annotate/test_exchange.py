"""Data sets into the store and out of it: masks, tags, sizes, twice, and nothing half."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from central.annotate import exchange
from central.annotate.boxes import LabelBox
from central.annotate.exchange import Project
from central.annotate.formats import Dataset, FormatError, Picture, kinds, told_complete
from central.store.blobs import Blobs
from central.store.database import Database
from central.store.models import Frame

PROJECT = Project(("car", "bus"), ("rain", "night"))
RING = ((10.0, 10.0), (30.0, 10.0), (30.0, 30.0))
PICTURE = Picture(
    "a/1.png", 64, 48, (LabelBox((10, 10, 30, 30), "car", None, (RING,)), LabelBox((1, 2, 9, 9), "bus")), ("car",),
    tags={"rain": "present", "night": "absent"},
)  # fmt: skip


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """A folder with the image of PICTURE."""
    (tmp_path / "images" / "a").mkdir(parents=True)
    cv2.imwrite(str(tmp_path / "images" / "a" / "1.png"), np.full((48, 64, 3), 90, np.uint8))
    return tmp_path / "images"


async def put(db: Database, blobs: Blobs, images: Path | None, *pictures: Picture) -> exchange.Imported:
    opener = None if images is None else exchange.below(images)
    return await exchange.take_in(db, blobs, Dataset(("car", "bus"), pictures), opener, PROJECT, "import")


@pytest.mark.parametrize("name", sorted(kinds()))
async def test_there_and_back__through_the_store(
    db: Database, blobs: Blobs, images: Path, tmp_path: Path, name: str
) -> None:
    assert (await put(db, blobs, images, PICTURE)).labelled == 1
    form, path = kinds()[name], tmp_path / "out"
    done, keys = await exchange.take_out(db, form, path, PROJECT)
    await exchange_images(blobs, keys, path / form.images if form.images else tmp_path / "o")
    (again,) = form.read(path).pictures
    assert (again.width, again.height) == (64, 48)
    assert sorted(b.label for b in again.boxes) == ["bus", "car"]
    mask = next(b.mask for b in again.boxes if b.label == "car")
    if "masks" in form.lacks:
        assert mask is None
        assert "masks (1)" in done.lost
    else:
        assert mask is not None
        assert [v for p in mask[0] for v in p] == pytest.approx([v for p in RING for v in p], abs=0.01)
    if "tags" not in form.lacks:
        assert again.tags == PICTURE.tags
        assert again.complete_for == ("car",)


async def exchange_images(blobs: Blobs, keys: Any, folder: Path) -> None:
    from central.annotate.images import save_images

    await save_images(blobs, keys, folder)


async def test_take_in__twice_is_once(db: Database, blobs: Blobs, images: Path) -> None:
    first, second = [await put(db, blobs, images, PICTURE) for _ in range(2)]
    assert (first.frames, first.labelled, first.boxes) == (1, 1, 2)
    assert (second.frames, second.labelled, second.boxes) == (0, 0, 0)


async def test_take_in__relative_places_are_scaled(db: Database, blobs: Blobs, images: Path) -> None:
    await put(db, blobs, images, Picture("a/1.png", 1, 1, (LabelBox((0.25, 0.5, 0.75, 1.0), "car"),)))
    async with db.read() as session:
        frame = (await session.scalars(Frame.__table__.select())).first()
        (row,) = (await exchange._find(session, "a/1.png", None)).annotations  # type: ignore[union-attr]
    assert frame is not None
    assert (row.x1, row.y1, row.x2, row.y2) == (16, 24, 48, 48)


async def test_take_in__wrong_label_stores_nothing(db: Database, blobs: Blobs, images: Path) -> None:
    wrong = Picture("a/1.png", 64, 48, (LabelBox((1, 1, 9, 9), "zebra"),))
    with pytest.raises(FormatError, match="label 'zebra' does not exist"):
        await put(db, blobs, images, PICTURE, wrong)
    async with db.read() as session:
        assert (await session.scalars(Frame.__table__.select())).first() is None


async def test_take_in__strange_tags_are_counted(db: Database, blobs: Blobs, images: Path) -> None:
    done = await put(db, blobs, images, Picture("a/1.png", 64, 48, tags={"snow": "present", "rain": "present"}))
    assert done.left_out == {"tag 'snow'": 1}


async def test_take_in__outline_is_thinned_and_cut(db: Database, blobs: Blobs, images: Path) -> None:
    turn = np.linspace(0, 2 * np.pi, 5000, endpoint=False)
    ring = tuple((32 + 40 * float(np.cos(t)), 24 + 20 * float(np.sin(t))) for t in turn)
    await put(db, blobs, images, Picture("a/1.png", 64, 48, (LabelBox((0, 4, 64, 44), "car", None, (ring, ring[:2])),)))
    async with db.read() as session:
        (row,) = (await exchange._find(session, "a/1.png", None)).annotations  # type: ignore[union-attr]
    assert len(row.mask) == 1
    assert 500 < len(row.mask[0]) <= 1000
    assert all(0 <= x <= 64 for x, _ in row.mask[0])


async def test_unmatched__without_images(db: Database, blobs: Blobs) -> None:
    assert (await put(db, blobs, None, PICTURE)).unmatched == 1


@pytest.mark.parametrize(
    ("told", "found"), [("all", ("car", "bus")), ("none", ()), ("bus", ("bus",)), (None, ("car",))]
)
def test_told_complete(told: str | None, found: tuple[str, ...]) -> None:
    (picture,) = told_complete(Dataset(("car", "bus"), (PICTURE,)), told).pictures
    assert picture.complete_for == found
