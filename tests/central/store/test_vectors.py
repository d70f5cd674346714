"""Likeness by the database's own vectors: the same answers as by the index in memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytest_asyncio
from sqlalchemy import delete, text

from central.store import database, vectors
from central.store.database import Database
from central.store.migrations import migrate
from central.store.models import Frame, Node
from central.store.search import Found, FrameIndex, Query, SearchError, find
from tests.servers.postgres import MissingError, Postgres, binaries_with_vector

START = datetime(2026, 1, 1, tzinfo=UTC)


def frame_id(number: int) -> str:
    return f"{number:08x}-0000-7000-8000-000000000000"


LIKE = frame_id(0)


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    """A PostgreSQL with the extension."""
    try:
        made = Postgres.start(binaries_in=binaries_with_vector())
    except MissingError as error:
        pytest.skip(str(error))
    yield made
    made.close()


@pytest.fixture(scope="module")
def template(server: Postgres) -> str:
    url = server.create()

    async def make() -> None:
        db = database.connect(url)
        await migrate(db.engine)
        async with db.write() as session:
            session.add(Node(name="n1"))
        await db.close()

    asyncio.run(make())
    return url


@pytest_asyncio.fixture
async def near(server: Postgres, template: str) -> AsyncIterator[Database]:
    made = database.connect(server.create(template))
    yield made
    await made.close()


async def add(db: Database, embeddings: dict[int, Any]) -> None:
    async with db.write() as session:
        for number, embedding in embeddings.items():
            packed = None if embedding is None else np.asarray(embedding, "<f4").tobytes()
            session.add(
                Frame(
                    id=frame_id(number), node="n1", camera=f"c{number % 2}", boot="b", sequence=number, width=64,
                    height=48, size_bytes=9, captured_at=START + timedelta(minutes=number), sha256=f"{number:064x}",
                    blob="x", embedding=packed,
                )
            )  # fmt: skip


def some(count: int = 30, seed: int = 1) -> dict[int, Any]:
    """Embeddings of which some are alike, one frame without, and one of another length."""
    draw = np.random.default_rng(seed)
    found: dict[int, Any] = {i: draw.integers(-2, 3, 3) + 0.1 for i in range(count)}
    return found | {count: None, count + 1: [1.0, 2.0]}


async def pages(db: Database, index: FrameIndex, query: Query) -> list[Found]:
    found = [await find(db, index, query)]
    while found[-1].next is not None:
        found.append(await find(db, index, Query(**{**query.__dict__, "cursor": found[-1].next})))
    return found


class Ours(FrameIndex):
    """One that compares by itself, whatever the database can."""

    def __init__(self) -> None:
        super().__init__()
        self._theirs = False


@pytest.mark.parametrize("also", [{}, {"camera": "c1"}, {"until": START + timedelta(minutes=9)}, {"label": "car"}])
@pytest.mark.parametrize("limit", [4, 100])
async def test_find__is_what_the_index_in_memory_finds(near: Database, also: dict[str, Any], limit: int) -> None:
    await add(near, some())
    query = Query(like=LIKE, limit=limit, **also)
    index = FrameIndex()
    theirs, ours = await pages(near, index, query), await pages(near, Ours(), query)
    assert index._theirs and not index._vectors.size
    assert [page.ids for page in theirs] == [page.ids for page in ours]
    assert [page.total for page in theirs] == [page.total for page in ours]
    assert [v for p in theirs for v in p.likeness] == pytest.approx([v for p in ours for v in p.likeness], abs=1e-5)


async def test_find__keeps_up_with_what_comes_and_goes(near: Database) -> None:
    await add(near, {0: [1, 0], 1: [0.5, 0]})
    index = FrameIndex()
    assert (await find(near, index, Query(like=LIKE))).likeness == [0.5]
    await add(near, {2: [0.75, 0], 3: [float("nan"), 0]})
    assert (await find(near, index, Query(like=LIKE))).likeness == [0.75, 0.5]
    async with near.write() as session:
        await session.execute(delete(Frame).where(Frame.sequence == 1))
    assert (await find(near, index, Query(like=LIKE))).likeness == [0.75]
    assert await near.run_write(index.vectors.catch_up, beside=True) == 0


async def test_find__servers_bring_over_each_embedding_once(near: Database) -> None:
    await add(near, some(200))
    found = await asyncio.gather(*(find(near, FrameIndex(), Query(like=LIKE, limit=5)) for _ in range(3)))
    assert found[0] == found[1] == found[2]


@pytest.mark.parametrize(("like", "code"), [(frame_id(99), "not_found"), (frame_id(4), "no_embedding")])
async def test_find__nothing_to_be_like(near: Database, like: str, code: str) -> None:
    await add(near, some(4))
    with pytest.raises(SearchError) as found:
        await find(near, FrameIndex(), Query(like=like))
    assert found.value.code == code


async def test_install__without_the_extension_the_index_serves(near: Database, tmp_path: Path) -> None:
    async with near.write() as session:
        await session.execute(text("DROP TABLE frame_vector"))
    await add(near, {0: [1, 0], 1: [0.5, 0]})
    assert (await find(near, FrameIndex(), Query(like=LIKE))).likeness == [0.5]
    lite = database.connect(database.sqlite_url(tmp_path / "central.db"))
    async with lite.engine.begin() as connection:
        assert not await connection.run_sync(vectors.install)
    await lite.close()
