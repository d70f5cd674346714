"""Signed metadata and packs, at every server the same."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from central.releases import publishing, registry
from central.releases.publishing import Publisher, open_signing
from central.releases.shelf import Shelf
from central.releases.signing import KEYS, ONLINE, ROOT, Signing, prepare
from central.releases.trust_files import NEWEST, TrustFiles, version
from central.servers.duties import LostError
from central.store import blobs as blob_store
from central.store.database import Database
from central.store.models import Release
from protocols import trust
from protocols.messages import utc_now
from protocols.pack import Pack
from protocols.trust import TrustError


class Server:
    """A server's folder and what it signs with; `lost`: it does not lead any more."""

    def __init__(self, folder: Path, database: Database) -> None:
        self.folder, self.lost = folder, False
        self.files = TrustFiles(database, folder / trust.FOLDER)
        self.publish = Publisher(self.files)
        self.publish.confirm = self._confirm

    async def _confirm(self, _session: Any) -> int:
        if self.lost:
            raise LostError("duty fleet: passed to another server")
        return 1

    async def open(self) -> Server:
        self.signing = await open_signing(self.folder, self.files, self.publish)
        return self

    def stamp(self) -> int:
        return version((self.folder / trust.FOLDER / NEWEST).read_bytes())


@pytest.fixture
def make(tmp_path: Path, shared: Database) -> Callable[..., Server]:
    """Makes servers with the online key of the first, or with none."""
    first = tmp_path / "first"

    def made(name: str, key: bool = True) -> Server:
        folder = tmp_path / name
        if not first.exists():
            first.mkdir()
            prepare(first, [tmp_path / ROOT], 1)
        if folder != first:
            (folder / KEYS).mkdir(parents=True)
            if key:
                shutil.copy(first / KEYS / ONLINE, folder / KEYS / ONLINE)
        return Server(folder, shared)

    return made


def targets(folder: Path) -> set[bytes]:
    """Return what is signed of packs."""
    return {path.read_bytes() for path in (folder / trust.FOLDER).glob("*.targets.json")}


def release(pack: Pack, number: int) -> Release:
    return Release(number=number, pack=pack.address, name="p", by="t", size_bytes=1, at=utc_now(), notes="")


async def test_signing__another_server_hands_out_what_the_leader_signed(
    make: Callable[..., Server], make_pack: Any, shared: Database
) -> None:
    pack = make_pack()
    a = await make("first").open()
    b = await make("second", key=False).open()
    assert (a.signing.able, b.signing.able) == (True, False)
    await registry.register(shared, a.folder / "packs", pack)
    await asyncio.to_thread(a.signing.sign, release(pack, 1))
    assert b.stamp() < a.stamp()
    await publishing.fresh(b.files)
    for path in (a.folder / trust.FOLDER).glob("*.json"):
        assert b.signing.read(f"{trust.FOLDER}/{path.name}") == path.read_bytes()
    with pytest.raises(TrustError, match="no online key"):
        b.signing.renew()
    for one in (a, b):
        one.signing.close()


async def test_signing__who_leads_no_more_publishes_nothing_and_goes_on_with_the_others_state(
    make: Callable[..., Server], make_pack: Any, shared: Database
) -> None:
    pack = make_pack()
    a = await make("first").open()
    b = await make("second").open()
    for one in (a, b):
        await registry.register(shared, one.folder / "packs", pack)
    a.lost = True
    again: list[int] = []
    a.publish.again = lambda: again.append(1)
    with pytest.raises(TrustError, match="could not be shared"):
        await asyncio.to_thread(a.signing.sign, release(pack, 1))
    async with asyncio.timeout(10):
        while not again:
            await asyncio.sleep(0.02)
    assert a.stamp() == b.stamp()
    await asyncio.to_thread(b.signing.sign, release(pack, 2))
    assert await a.files.pull()
    assert (a.folder / trust.FOLDER / NEWEST).read_bytes() == (b.folder / trust.FOLDER / NEWEST).read_bytes()
    for one in (a, b):
        one.signing.close()


async def test_signing__twin_without_the_fence_overwrites_what_the_leader_signed(
    make: Callable[..., Server], make_pack: Any, shared: Database
) -> None:
    pack = make_pack()
    a = await make("first").open()
    b = await make("second").open()
    for one in (a, b):
        await registry.register(shared, one.folder / "packs", pack)
    await asyncio.to_thread(b.signing.sign, release(pack, 2))
    leads = targets(b.folder)
    await asyncio.to_thread(a.signing.sign, release(pack, 1))  # asleep since before; nothing stops it here
    await b.files.pull(force=True)
    assert targets(b.folder) != leads
    for one in (a, b):
        one.signing.close()


async def test_signing__keys_replaced_beside_the_servers_reach_them(make: Callable[..., Server]) -> None:
    a = await make("first").open()
    a.signing.close()
    before = a.stamp()
    alone = Signing(a.folder)
    alone._repository.leap(10, utc_now())
    alone.close()
    await a.open()
    assert not await a.files.pull(), "what is newer here stays"
    await a.files.push(a._confirm)
    b = await make("second").open()
    assert b.stamp() == a.stamp() > before + 9
    for one in (a, b):
        one.signing.close()


async def test_signing__another_centres_root_is_refused(make: Callable[..., Server], tmp_path: Path) -> None:
    a = await make("first").open()
    other = make("second", key=False)
    (other.folder / KEYS).rmdir()
    prepare(other.folder, [tmp_path / "other.pem"], 1)
    with pytest.raises(TrustError, match="not that of the other servers"):
        await other.open()
    a.signing.close()


async def test_shelf__a_pack_of_one_server_is_fetched_by_the_other(
    tmp_path: Path, make_pack: Any, shared: Database
) -> None:
    pack, store = make_pack(), blob_store.connect(f"file://{tmp_path / 'blobs'}", tmp_path / "none")
    a, b = Shelf(tmp_path / "a" / "packs", store), Shelf(tmp_path / "b" / "packs", store)
    kept = await registry.register(shared, a.folder, pack)
    await a.keep(kept)
    assert not (b.folder / pack.address).exists()
    await asyncio.gather(*(b.bring(f"packs/{pack.address}") for _ in range(4)))
    assert registry.archive_path(b.folder, pack.address).read_bytes() == (
        registry.archive_path(a.folder, pack.address).read_bytes()
    )
    assert (await b.fetch(pack.address) / "manifest.json").is_file()
    await b.bring("packs/" + "0" * 64)
    await b.bring("../../etc/passwd")
    assert not (await b.fetch("0" * 64)).exists()
    store.close()


async def test_shelf__newest_packs_are_there_before_anybody_asks(
    tmp_path: Path, make_pack: Any, shared: Database
) -> None:
    pack, store = make_pack(), blob_store.connect("memory:", tmp_path)
    a, b = Shelf(tmp_path / "a" / "packs", store), Shelf(tmp_path / "b" / "packs", store)
    await a.keep(await registry.register(shared, a.folder, pack))
    mirror = asyncio.create_task(b.mirror(shared))
    async with asyncio.timeout(10):
        while not (b.folder / pack.address).is_dir():
            await asyncio.sleep(0.02)
    mirror.cancel()
    await asyncio.gather(mirror, return_exceptions=True)


async def test_shelf__alone_copies_nothing(tmp_path: Path, make_pack: Any, shared: Database) -> None:
    shelf = Shelf(tmp_path / "packs")
    kept = await registry.register(shared, shelf.folder, make_pack())
    await shelf.keep(kept)
    assert await shelf.fetch(kept.address) == shelf.folder / kept.address
    assert not (tmp_path / "blobs").exists()
