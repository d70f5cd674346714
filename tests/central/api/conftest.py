"""A centre in memory: a real database, blobs in memory, no broker."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
import pytest_asyncio
from fastapi import FastAPI
from pydantic import SecretStr

from central.annotate import profile
from central.api import passwords
from central.api.access import LoginGate, open_session
from central.api.app import create_app
from central.api.context import Centre, FleetError
from central.jobs.process import ProcessJobs
from central.notify import Notifier
from central.releases import offers
from central.settings import Settings
from central.store import blobs, database
from central.store.models import Annotation, Camera, Frame, Node, User
from protocols.messages import Reply
from protocols.pack import Pack
from tests.servers.templates import Templates

JPEG = b"\xff\xd8\xff\xe0 a small picture \xff\xd9"
ROLES = ("viewer", "annotator", "engineer", "admin")
PASSWORD = "correct horse battery"


@dataclass
class FakeFleet:
    """Nodes that answer what a test told them to."""

    database: database.Database
    replies: dict[str, Reply] = field(default_factory=dict)
    asked: list[tuple[str, str, str]] = field(default_factory=list)
    released: list[tuple[str, str, str]] = field(default_factory=list)
    registered: list[Pack] = field(default_factory=list)
    trouble: list[str] = field(default_factory=list)
    told: int = 0

    async def command(self, node: str, action: str, camera: str = "") -> Reply:
        self.asked.append((node, action, camera))
        if node not in self.replies:
            raise FleetError(f"node {node}: no answer within 4 s")
        return self.replies[node]

    async def register(self, pack: Pack) -> None:
        self.registered.append(pack)

    async def release(self, address: str, by: str, notes: str) -> int:
        self.released.append((address, by, notes))
        return (await offers.create(self.database, address, by, notes)).number

    async def tell(self) -> None:
        self.told += 1

    def problems(self) -> Sequence[str]:
        return self.trouble


@dataclass
class World:
    """The centre, the application, and ways to be somebody."""

    centre: Centre
    app: FastAPI
    fleet: FakeFleet
    tokens: dict[str, str]

    def client(self, role: str | None = None, **headers: str) -> httpx.AsyncClient:
        if role is not None:
            headers["Authorization"] = f"Bearer {self.tokens[role]}"
        transport = httpx.ASGITransport(self.app, raise_app_exceptions=False)
        return httpx.AsyncClient(transport=transport, base_url="http://centre/api/v1", headers=headers)

    async def add_frame(self, number: int = 1, value: float = 0.5, **columns: object) -> str:
        frame = frame_id(number)
        async with self.centre.database.write() as session:
            if await session.get(Node, "n1") is None:
                session.add(Node(name="n1", site="north", state="online"))
                await session.flush()
                session.add(Camera(node="n1", name="c1", source="street:", health={"state": "watching", "fps": 5.0}))
            values = {
                "node": "n1", "site": "north", "camera": "c1", "boot": "b1", "sequence": number,
                "captured_at": datetime(2026, 1, 1, tzinfo=UTC), "width": 640, "height": 360, "size_bytes": len(JPEG),
                "sha256": f"{number:064x}", "blob": f"frames/{frame}.jpg", "value": value,
                "assessment": {"uncertainty": 0.4, "reasons": {"uncertainty": "two classes alike"}},
                "selection": {"keep": True, "probability": 0.2, "reason": "uncertain", "policy": "budget"},
            }  # fmt: skip
            session.add(Frame(id=frame, **(values | columns)))
            await session.flush()
            session.add(Annotation(frame=frame, x1=1, y1=2, x2=30, y2=40, label="car", source="node", score=0.7))
        await self.centre.blobs.put([(f"frames/{frame}.jpg", JPEG)])
        return frame


def frame_id(number: int) -> str:
    """Return the id of test frame `number`; they sort by it."""
    return f"{number:08x}-0000-7000-8000-000000000000"


@pytest.fixture(scope="session")
def template(templates: Templates) -> tuple[str, dict[str, str]]:
    """A database with one user per role, each logged in, made once: hashing and migrating take time."""
    tokens = {}

    async def people(db: database.Database) -> None:
        hashed = await passwords.hash_password(PASSWORD)
        async with db.write() as session:
            session.add_all(User(name=role, role=role, password=hashed) for role in ROLES)
            await session.flush()
            for role in ROLES:
                tokens[role] = await open_session(session, role, 1.0)

    return templates.make(people), tokens


@dataclass
class Once:
    """The application, put together once, as that takes longer than most tests. It keeps nothing but counts of
    requests: what it works with is the `centre` of the test, and its UI is what `dist` points at."""

    dist: Path
    centre: Centre | None = None
    app: FastAPI = field(init=False)

    def __post_init__(self) -> None:
        self.app = create_app(self.open, self.dist)

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Centre]:
        assert self.centre is not None
        yield self.centre

    def serve(self, centre: Centre, dist: Path) -> None:
        self.centre = centre
        self.dist.unlink(missing_ok=True)
        self.dist.symlink_to(dist)


@pytest.fixture(scope="session")
def once(tmp_path_factory: pytest.TempPathFactory) -> Once:
    """The application for every test."""
    return Once(tmp_path_factory.mktemp("once") / "dist")


@pytest_asyncio.fixture
async def world(
    tmp_path: Path, templates: Templates, template: tuple[str, dict[str, str]], once: Once
) -> AsyncIterator[World]:
    """A centre with one user per role, each logged in."""
    url, tokens = templates.copy(template[0], tmp_path), template[1]
    settings = Settings(data=tmp_path, database_url=SecretStr(url))
    db = database.connect(url)
    fleet, jobs = FakeFleet(db), ProcessJobs(db, tmp_path / "jobs")
    store = blobs.connect("memory:", tmp_path / "blobs")
    centre = Centre(settings, db, store, profile.load("street"), jobs, fleet, LoginGate(), Notifier())

    once.serve(centre, tmp_path / "dist")
    app = once.app
    async with app.router.lifespan_context(app):
        yield World(centre, app, fleet, tokens)
    await jobs.close()
    await db.close()
    templates.drop(url)
