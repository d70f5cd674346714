"""What changed at one server, heard at all."""

from __future__ import annotations

import pytest
from sqlalchemy.exc import OperationalError

from central.notify import Kind, Notifier
from central.servers.changes import Changes
from central.store.database import Database


class Ear:
    """A server: its notifier, what its listeners heard, and what it was asked for."""

    def __init__(self, database: Database) -> None:
        self.notifier, self.heard, self.asked = Notifier(), list[Kind](), 0
        self.notifier.listen(self.heard.append)
        self.changes = Changes(database, self.notifier)
        self.changes.heed("tell", self._ask)
        self.notifier.listen(self.changes._note)

    def _ask(self) -> None:
        self.asked += 1


async def ears(database: Database, count: int) -> list[Ear]:
    made = [Ear(database) for _ in range(count)]
    for ear in made:
        await ear.changes.start()
    return made


async def test_tick__each_hears_the_others_once_and_itself_at_once(shared: Database) -> None:
    a, b, c = await ears(shared, 3)
    for _ in range(100):
        a.notifier.emit("frame")
    a.notifier.emit("label")
    assert a.heard[-1] == "label"
    before = len(a.heard)
    for _ in range(3):
        for ear in (a, b, c):
            await ear.changes.tick()
    assert len(a.heard) == before, "no echo of its own"
    assert (sorted(b.heard), sorted(c.heard)) == (["frame", "label"], ["frame", "label"])


async def test_tick__two_at_the_same_time_hear_each_other(shared: Database) -> None:
    a, b = await ears(shared, 2)
    a.notifier.emit("round")
    b.notifier.emit("round")
    await a.changes.tick()
    await b.changes.tick()
    await a.changes.tick()
    assert (a.heard, b.heard) == (["round", "round"], ["round", "round"])


async def test_start__what_was_before_is_no_news(shared: Database) -> None:
    (a,) = await ears(shared, 1)
    a.notifier.emit("node")
    await a.changes.tick()
    (late,) = await ears(shared, 1)
    await late.changes.tick()
    assert late.heard == []


async def test_tick__what_could_not_be_told_is_told_later(shared: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    a, b = await ears(shared, 2)
    a.notifier.emit("release")
    with monkeypatch.context() as patch:

        def away() -> None:
            raise OperationalError("BEGIN", {}, Exception("away"))

        patch.setattr(shared, "write", away)
        with pytest.raises(OperationalError):
            await a.changes.tick()
        await a.changes.flush()
    a.notifier.emit("release")
    await a.changes.tick()
    await b.changes.tick()
    assert b.heard == ["release"]


async def test_ask__every_other_server_is_asked_once(shared: Database) -> None:
    a, b, c = await ears(shared, 3)
    await a.changes.ask("tell")
    for ear in (a, b, c, b):
        await ear.changes.tick()
    assert (a.asked, b.asked, c.asked) == (0, 1, 1)
    assert b.heard == []
