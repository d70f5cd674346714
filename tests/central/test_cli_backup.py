"""``backup`` and ``restore`` as they are called."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from central import cli
from central.releases import offers, signing
from central.store import database as databases
from central.store.database import Database
from central.store.models import Pack, User

Run = CliRunner()
HASH = "$argon2id$x"


@pytest.fixture
def centre(db: Database, tmp_path: Path) -> Path:
    """A data folder with somebody, keys, and a release."""

    async def fill() -> None:
        async with db.write() as session:
            session.add(User(name="ada", password=HASH, role="admin"))
            pack = Pack(address="a" * 64, name="p", size_bytes=1, labels=["car"])
            session.add(pack)
            await session.flush()
            await offers.add(session, pack, "ada", "")
        await db.close()

    asyncio.run(fill())
    signing.open_repository(tmp_path)
    return tmp_path


def call(*words: str | Path, status: int = 0) -> str:
    done = Run.invoke(cli.app, [str(word) for word in words])
    assert done.exit_code == status, done.output
    return done.output


def test_restore__brings_back_who_may_log_in_and_goes_on_above_what_nodes_saw(centre: Path, tmp_path: Path) -> None:
    saved = json.loads(call("backup", tmp_path / "vault", "--data", centre, "--verify", "--json").splitlines()[-1])
    assert saved["missing"] == 0 and saved["verified_bytes"] > 0
    again = tmp_path / "again"
    call("restore", tmp_path / "vault", "--data", again)
    versions = [signing.open_repository(folder).timestamp.signed.version for folder in (centre, again)]
    assert versions[1] > versions[0] + signing.LEAP

    async def look() -> int:
        database = databases.connect(databases.sqlite_url(again / "central.db"))
        async with database.write() as session:
            assert (await session.get_one(User, "ada")).password == HASH
            release = await offers.add(session, await session.get_one(Pack, "a" * 64), "ada", "")
        await database.close()
        return release.number

    assert asyncio.run(look()) > 1 + offers.LEAP


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("restore", "{tmp}/nothing", "--data", "{tmp}/again"), "no backup in it"),
        (("restore", "{tmp}/vault", "--backup", "x", "--data", "{tmp}/again"), "no backup 'x'"),
        (("restore", "{tmp}/vault", "--data", "{tmp}"), "there is something in it"),
        (("backup", "{tmp}/vault", "--data", "{tmp}/empty"), "no centre's data here"),
        (("backup", "{tmp}/blobs/vault", "--data", "{tmp}"), "among the images"),
    ],
)
def test_backup__what_is_wrong_is_one_line(centre: Path, tmp_path: Path, words: tuple[str, ...], says: str) -> None:
    call("backup", tmp_path / "vault", "--data", centre)
    told = call(*(word.format(tmp=tmp_path) for word in words), status=2)
    assert says in told and len(told.strip().splitlines()) == 1


def test_restore__lists_what_there_is(centre: Path, tmp_path: Path) -> None:
    for _ in range(2):
        call("backup", tmp_path / "vault", "--data", centre)
    assert len(json.loads(call("restore", tmp_path / "vault", "--list", "--json"))["backups"]) == 2
