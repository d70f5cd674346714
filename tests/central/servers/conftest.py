"""Servers of one database, each with a clock of its own that a test turns."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import pytest_asyncio

from central.servers.duties import Duties
from central.servers.members import Identity, Members
from central.store import database as database_store
from central.store.database import Database
from central.store.migrations import migrate
from protocols import pack as packs
from protocols.pack import Input, Manifest, Pack


@dataclass
class Desk:
    """One server: its duties, its clock, and what it does now."""

    name: str
    database: Database
    now: float = 0.0
    doing: set[str] = field(default_factory=set)
    log: list[str] = field(default_factory=list)
    run: str = "1"
    duties: Duties = field(init=False)

    def __post_init__(self) -> None:
        who = Identity(f"{self.name:0>32}", f"{self.run:0>32}", self.name)
        self.duties = Duties(self.database, Members(who, monotonic=lambda: self.now), monotonic=lambda: self.now)

    def add(self, duty: str) -> None:
        async def work() -> None:
            self.doing.add(duty)
            self.log.append(duty)
            try:
                await asyncio.Event().wait()
            finally:
                self.doing.discard(duty)

        self.duties.add(duty, work)

    async def tick(self, seconds: float = 0.0) -> set[str]:
        """Let `seconds` pass here, beat once, and return what is done here then."""
        self.now += seconds
        await self.duties.tick()
        await asyncio.sleep(0)
        return set(self.doing)


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty database, made once: migrating takes time."""
    path = tmp_path_factory.mktemp("template") / "shared.db"

    async def make() -> None:
        made = database_store.connect(f"sqlite:///{path}")
        await migrate(made.engine)
        await made.close()

    asyncio.run(make())
    return path


@pytest_asyncio.fixture
async def shared(tmp_path: Path, template: Path) -> AsyncIterator[Database]:
    """The database of several servers."""
    shutil.copyfile(template, tmp_path / "shared.db")
    made = database_store.connect(f"sqlite:///{tmp_path / 'shared.db'}")
    yield made
    await made.close()


@pytest.fixture
def desk(shared: Database) -> Callable[..., Desk]:
    """Makes servers with the duties ``sweep`` and ``order``."""

    def make(name: str, run: str = "1") -> Desk:
        made = Desk(name, shared, run=run)
        made.add("sweep")
        made.add("order")
        return made

    return make


@pytest.fixture
def make_pack(tmp_path: Path) -> Callable[[], Pack]:
    """Makes a pack from elsewhere."""

    def make() -> Pack:
        manifest = Manifest(name="small", labels=["car"], input=Input(height=64, width=64))
        return packs.create(tmp_path / "made", manifest, {"model.onnx": b"not a real one" * 100})

    return make
