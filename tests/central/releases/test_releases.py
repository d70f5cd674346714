"""Packs kept, offered, handed out in pieces, and tracked."""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from central.ingest import presence
from central.releases import offers, registry, tracking
from central.releases.offers import Offers, ReleaseError
from central.releases.transfer import MAX_CHUNK, answer
from central.store.database import Database
from central.store.models import Camera, CameraBoost, Node, Pack, Policy, Release, ReleaseNode
from protocols import delta
from protocols import messages as m
from protocols import pack as packs
from protocols.messages import Fetch, Status, Update, utc_now
from protocols.pack import Input, Manifest, PackError
from protocols.transfer import NOT_THERE
from protocols.trust import TrustError

pytestmark = pytest.mark.asyncio


@pytest.fixture
def pack(tmp_path: Path) -> packs.Pack:
    """A pack from elsewhere."""
    manifest = Manifest(name="small", labels=["car", "bus"], input=Input(height=64, width=64), metrics={"ap50": 0.5})
    return packs.create(tmp_path / "made", manifest, {"model.onnx": os.urandom(3 * MAX_CHUNK // 2)})


class Outbox:
    """Keeps what would be published."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, str, Any]] = []
        self.up = True

    def publish(self, channel: str, node: str, message: m.Message) -> bool:
        if self.up:
            self.sent.append((channel, node, message))
        return self.up


async def set_policy(db: Database, *policies: Policy) -> None:
    async with db.write() as session:
        session.add_all(policies)


async def add_nodes(db: Database, *names: str) -> None:
    for name in names:
        async with db.write() as session:
            await presence.apply_status(session, Status(state="online", node=name, boot="b"), utc_now())


async def test_register__twice_is_once(db: Database, pack: packs.Pack, tmp_path: Path) -> None:
    for _ in range(2):
        kept = await registry.register(db, tmp_path / "packs", pack)
    assert kept.folder == tmp_path / "packs" / pack.address
    assert registry.archive_path(tmp_path / "packs", pack.address).read_bytes() == packs.archive(pack)
    async with db.read() as session:
        row = await session.get(Pack, pack.address)
    assert row is not None
    assert (row.name, row.labels, row.metrics) == ("small", ["car", "bus"], {"ap50": 0.5})


async def test_register__damaged_is_refused(db: Database, pack: packs.Pack, tmp_path: Path) -> None:
    (pack.folder / "model.onnx").write_bytes(b"other")
    with pytest.raises(PackError):
        await registry.register(db, tmp_path / "packs", pack)


@pytest.mark.parametrize(("text", "found"), [("small", True), ("none", False), ("", False)])
async def test_resolve__by_name(db: Database, pack: packs.Pack, tmp_path: Path, text: str, found: bool) -> None:
    await registry.register(db, tmp_path / "packs", pack)
    assert (await registry.resolve(db, text) == pack.address) is found
    assert await registry.resolve(db, pack.address[:8]) == pack.address
    assert await registry.resolve(db, pack.address[:7]) is None


async def test_create__numbers_grow_and_unknown_is_refused(db: Database, pack: packs.Pack, tmp_path: Path) -> None:
    await registry.register(db, tmp_path / "packs", pack)
    assert [(await offers.create(db, pack.address, "me")).number for _ in range(3)] == [1, 2, 3]
    with pytest.raises(ReleaseError, match="not registered"):
        await offers.create(db, "0" * 64, "me")


async def test_offers__each_node_once_until_forgotten(db: Database, pack: packs.Pack, tmp_path: Path) -> None:
    await registry.register(db, tmp_path / "packs", pack)
    await add_nodes(db, "a", "b")
    await set_policy(db, Policy(node="*"))
    await offers.create(db, pack.address, "me")
    outbox = Outbox()
    made = Offers(db, outbox, lambda _: None)
    await made.tell_all()
    await made.greet("a", "b")
    assert sorted((c, n) for c, n, _ in outbox.sent) == [(c, n) for c in ("policy", "release") for n in ("a", "b")]
    made.forget()
    await made.greet("a", "b")
    assert len(outbox.sent) == 6
    await made.greet("a", "b2")
    assert len(outbox.sent) == 8


async def test_offers__not_told_while_the_link_is_down(db: Database) -> None:
    await set_policy(db, Policy(node="*"))
    outbox = Outbox()
    outbox.up = False
    made = Offers(db, outbox, lambda _: None)
    await made.greet("a", "b")
    outbox.up = True
    await made.greet("a", "b")
    assert [c for c, *_ in outbox.sent] == ["policy"]


async def test_offers__a_nodes_own_policy_before_the_default(db: Database) -> None:
    await set_policy(db, Policy(node="*", version=3), Policy(node="a", version=9, frames_per_hour=5.0))
    outbox = Outbox()
    made = Offers(db, outbox, lambda _: None)
    for node in ("a", "b"):
        await made.greet(node, "boot")
    assert [(n, p.version, p.frames_per_hour) for _, n, p in outbox.sent] == [("a", 9, 5.0), ("b", 3, 60.0)]


async def test_offers__a_camera_that_is_asked_for_more(db: Database) -> None:
    await set_policy(db, Policy(node="*", version=3))
    await add_nodes(db, "a", "b")
    over, now = m.utc_now() - timedelta(hours=1), m.utc_now()
    async with db.write() as session:
        session.add_all([Camera(node=node, name=name) for node in ("a", "b") for name in ("c1", "c2")])
        await session.flush()
        session.add(CameraBoost(node="a", camera="c1", factor=1.5, until=now + timedelta(hours=1)))
        session.add(CameraBoost(node="b", camera="c1", factor=1.5, until=over))
    outbox = Outbox()
    await Offers(db, outbox, lambda _: None).tell_all()
    await Offers(db, outbox, lambda _: None).greet("a", "")
    told = [(node, message.shares) for _, node, message in outbox.sent]
    assert told == [("a", {"c1": 1.5, "c2": 0.5}), ("b", {}), ("a", {"c1": 1.5, "c2": 0.5})]


async def test_offers__without_a_policy_a_nodes_own_configuration_stands(db: Database) -> None:
    outbox = Outbox()
    await Offers(db, outbox, lambda _: None).greet("a", "b")
    assert outbox.sent == []


async def test_offers__what_cannot_be_signed_is_told_to_nobody(db: Database, pack: packs.Pack, tmp_path: Path) -> None:
    def fail(_: Release) -> None:
        raise TrustError("planted")

    await registry.register(db, tmp_path / "packs", pack)
    await add_nodes(db, "a")
    await offers.create(db, pack.address, "me")
    outbox = Outbox()
    await Offers(db, outbox, fail).tell_all()
    assert outbox.sent == []


@pytest.mark.parametrize(
    ("name", "offset", "says"),
    [
        ("packs/" + "0" * 64, 0, "no such pack"),
        ("packs/..", 0, "no such file"),
        ("files/x", 0, "no such file"),
        (None, 10**9, "beyond the end"),
    ],
)
async def test_answer__refuses(
    db: Database, pack: packs.Pack, tmp_path: Path, name: str | None, offset: int, says: str
) -> None:
    await registry.register(db, tmp_path / "packs", pack)
    chunk = answer(
        tmp_path / "packs", Fetch(request="r", name=name or f"packs/{pack.address}", offset=offset, length=9)
    )
    assert says in chunk.error
    assert chunk.data == b""


async def test_answer__pieces_are_bounded_and_make_the_whole(db: Database, pack: packs.Pack, tmp_path: Path) -> None:
    await registry.register(db, tmp_path / "packs", pack)
    data = b""
    for _ in range(2):
        chunk = answer(
            tmp_path / "packs",
            Fetch(request="r", name=f"packs/{pack.address}", offset=len(data), length=4 * MAX_CHUNK),
        )
        assert len(chunk.data) <= MAX_CHUNK
        data += chunk.data
    assert data == packs.archive(pack)
    assert chunk.total == len(data)


def step(node: str, what: Any, release: int = 1, pack: str = "0" * 64, reason: str = "") -> Update:
    return Update(node=node, boot="b", time=utc_now(), release=release, pack=pack, step=what, reason=reason)


async def apply(db: Database, *updates: Update) -> None:
    for update in updates:
        async with db.write() as session:
            await tracking.apply_update(session, update, utc_now())


async def state(db: Database, node: str) -> tuple[str, str, bool]:
    async with db.read() as session:
        row, release = await session.get(ReleaseNode, (1, node)), await session.get(Release, 1)
    assert row is not None
    assert release is not None
    return row.step, row.reason, release.finished is not None


async def test_tracking__done_when_every_online_node_runs_it(db: Database, pack: packs.Pack, tmp_path: Path) -> None:
    await registry.register(db, tmp_path / "packs", pack)
    await add_nodes(db, "a", "b", "away")
    async with db.write() as session:
        (await session.get_one(Node, "away")).state = "offline"
    await offers.create(db, pack.address, "me")
    await apply(db, step("a", "fetching", pack=pack.address), step("a", "committed", pack=pack.address))
    assert await state(db, "a") == ("committed", "", False)
    await apply(db, step("b", "rolled-back", pack=pack.address, reason="parity"))
    assert await state(db, "b") == ("rolled-back", "parity", False)
    running = Status(state="online", node="b", boot="b", pack=pack.address)
    async with db.write() as session:
        await tracking.apply_running(session, await presence.apply_status(session, running, utc_now()), utc_now())
    assert await state(db, "b") == ("committed", "", True)


async def test_tracking__unknown_release_changes_only_the_node(db: Database) -> None:
    await add_nodes(db, "a")
    await apply(db, step("a", "fetching", release=99))
    async with db.read() as session:
        node = await session.get_one(Node, "a")
    assert node.update is not None
    assert node.update["release"] == 99


def child_of(parent: packs.Pack, folder: Path) -> packs.Pack:
    manifest = Manifest(name="child", labels=["car"], input=Input(height=64, width=64), parent=parent.address)
    return packs.create(folder / "child", manifest, {"model.onnx": parent.path("model.onnx").read_bytes() + b"more"})


async def test_register__keeps_the_delta_from_the_parent(db: Database, pack: packs.Pack, tmp_path: Path) -> None:
    child = child_of(pack, tmp_path)
    for one in (pack, child):
        await registry.register(db, tmp_path / "packs", one)
    name = delta.file_name(pack.address, child.address)
    chunk = answer(tmp_path / "packs", Fetch(request="r", name=name, offset=0, length=MAX_CHUNK))
    assert len(chunk.data) == chunk.total < 2000
    assert delta.apply(pack, chunk.data, child.address) == packs.archive(child)


async def test_register__no_delta_where_the_parent_is_not_here(db: Database, pack: packs.Pack, tmp_path: Path) -> None:
    child = child_of(pack, tmp_path)
    await registry.register(db, tmp_path / "packs", child)
    name = delta.file_name(pack.address, child.address)
    chunk = answer(tmp_path / "packs", Fetch(request="r", name=name, offset=0, length=MAX_CHUNK))
    assert chunk.error == NOT_THERE


async def test_register__no_delta_that_is_larger_than_the_pack(
    db: Database, pack: packs.Pack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delta, "make", lambda old, new: packs.archive(new))
    for one in (pack, child_of(pack, tmp_path)):
        await registry.register(db, tmp_path / "packs", one)
    assert not (tmp_path / "deltas").exists()
