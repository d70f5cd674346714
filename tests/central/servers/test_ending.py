"""The end of a server in order, and what its list of servers says."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import typer.testing
from sqlalchemy import update

from central import cli
from central.annotate import editing, profile
from central.api.bus import subscribe
from central.api.centre import follow_profile
from central.commands import serve
from central.notify import Notifier
from central.servers.duties import Duties
from central.settings import Settings
from central.store.database import Database
from central.store.models import Duty, ProfileVersion


async def test_end__not_ready_then_handed_over_then_streams_then_requests() -> None:
    steps: list[str] = []
    notifier, server = Notifier(), SimpleNamespace(should_exit=False)

    async def hand_over() -> None:
        steps.append(f"hand over, draining {centre.draining}, exit {server.should_exit}")

    centre: Any = SimpleNamespace(
        draining=False, hand_over=hand_over, notifier=notifier, settings=Settings.model_construct(drain_s=0.0)
    )
    notifier.listen(lambda _: None, lambda: steps.append(f"streams, exit {server.should_exit}"))
    await serve.end(centre, server)  # type: ignore[arg-type]
    assert steps == ["hand over, draining True, exit False", "streams, exit False"]
    assert server.should_exit


async def test_end__a_hand_over_that_hangs_does_not_keep_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serve, "HAND_OVER_S", 0.05)
    server, settings = SimpleNamespace(should_exit=False), Settings.model_construct(drain_s=0.0)

    async def hang() -> None:
        await asyncio.Event().wait()

    centre: Any = SimpleNamespace(draining=False, hand_over=hang, notifier=Notifier(), settings=settings)
    await asyncio.wait_for(serve.end(centre, server), 5)  # type: ignore[arg-type]
    assert server.should_exit


async def test_subscriber__ends_with_the_server() -> None:
    notifier = Notifier()
    with subscribe(notifier) as one:
        notifier.emit("frame")
        assert (await one.take(), one.ended) == (["frame"], False)
        notifier.end()
        assert (await asyncio.wait_for(one.take(), 1), one.ended) == ([], True)
        assert await asyncio.wait_for(one.take(), 1) == [], "and stays so"
    notifier.end()


async def test_follow__the_profile_as_it_was_edited_at_another_server(shared: Database, tmp_path: Path) -> None:
    street = profile.load("street").model_copy(update={"base": "street"})
    settings = Settings.model_construct(data=tmp_path, profile="street")
    centre: Any = SimpleNamespace(
        database=shared, profile=profile.load("street"), settings=settings, editing=asyncio.Lock()
    )
    assert not await follow_profile(centre)
    edited = street.model_copy(update={"labels": street.labels[:2]})
    wanted = editing.Change(0, edited, "ann", removed={label.name: "keep" for label in street.labels[2:]})
    await shared.run_write(lambda session: editing.edit(session, street, wanted).version)
    assert await follow_profile(centre)
    assert centre.profile.label_names == street.label_names[:2]
    assert profile.current(settings).label_names == street.label_names[:2], "and after a restart"
    assert not await follow_profile(centre)
    assert ProfileVersion.__tablename__


async def servers(database: Database, name: str) -> Duties:
    """Return the duties of a server that beat once."""
    from central.servers.members import Identity, Members

    made = Duties(database, Members(Identity(f"{name:0>32}", f"{1:0>32}", name)))
    made.add("sweep", asyncio.Event().wait)  # type: ignore[arg-type]
    await made.tick()
    return made


def test_command__lists_servers_and_says_who_is_gone(template: Path, tmp_path: Path) -> None:
    path = tmp_path / "shared.db"
    path.write_bytes(template.read_bytes())

    async def fill() -> None:
        from central.store import database as database_store

        database = database_store.connect(f"sqlite:///{path}")
        await servers(database, "one")
        async with database.write() as session:
            await session.execute(update(Duty).values(holder="nobody"))
        await database.close()

    asyncio.run(fill())
    env = {"WAYSIDE_DATABASE_URL": f"sqlite:///{path}"}
    done = typer.testing.CliRunner().invoke(cli.app, ["servers", "--wait", "0.1", "--json"], env=env)
    found = json.loads(done.stdout.strip().splitlines()[-1])
    assert done.exit_code == 1
    assert [(s["name"], s["state"]) for s in found["servers"]] == [("one", "gone")]
    assert found["free"] == ["sweep"]
