"""The table of enrolments."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import select

from central.enrol import nodes
from central.enrol.authority import Authority, open_authority
from central.enrol.nodes import EnrolError
from central.store.database import Database
from central.store.models import Node, NodeEvent
from protocols.topics import TopicError


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    """A new authority."""
    return open_authority(tmp_path)


async def test_add__enrols_once(db: Database, authority: Authority) -> None:
    async with db.write() as session:
        await nodes.add(session, authority, "n1", "north")
    async with db.write() as session:
        with pytest.raises(EnrolError, match="--replace"):
            await nodes.add(session, authority, "n1", "north")
        assert await nodes.shut_out(session) == nodes.ShutOut()
        assert (await nodes.listing(session))["n1"]["state"] == "enrolled"


async def test_add__replacing_shuts_out_the_certificate_and_not_the_name(db: Database, authority: Authority) -> None:
    async with db.write() as session:
        old = await nodes.add(session, authority, "n1", "north")
        await nodes.add(session, authority, "n1", "north", replace=True)
    async with db.read() as session:
        out = await nodes.shut_out(session)
    assert out.names == frozenset()
    assert [serial for serial, _ in out.serials] == [old.serial]


async def test_revoke__shuts_name_and_certificate_out_and_says_so(db: Database, authority: Authority) -> None:
    async with db.write() as session:
        issued = await nodes.add(session, authority, "n1", "north")
        await nodes.add(session, authority, "n2", "north")
        session.add(Node(name="n1", state="online"))
    async with db.write() as session:
        assert await nodes.revoke(session, "n1") == [issued.serial]
    async with db.write() as session:
        out = await nodes.shut_out(session)
        assert out.names == {"n1"}
        assert [serial for serial, _ in out.serials] == [issued.serial]
        assert (await session.get_one(Node, "n1")).state == "offline"
        assert "revoked" in (await session.scalars(select(NodeEvent.detail))).one()
        with pytest.raises(EnrolError, match="not enrolled"):
            await nodes.revoke(session, "n1")


@pytest.mark.parametrize("name", ["+", "#", "a/b", "", "$x"])
async def test_names__that_are_no_identity_are_refused(db: Database, authority: Authority, name: str) -> None:
    async with db.write() as session:
        with pytest.raises(TopicError):
            await nodes.add(session, authority, name, "north")
        with pytest.raises(TopicError):
            await nodes.revoke(session, name)
