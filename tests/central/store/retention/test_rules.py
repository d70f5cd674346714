"""What is due, what is held, and what a preview says."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy.orm import Session

from central.store.models import Draft, Errand, Flag, Hold, Lease, Round, Snapshot
from central.store.retention import RetentionError, Rule, due, parse
from central.store.retention.holds import REASONS
from central.store.retention.rules import Rules, check, load
from protocols.messages import utc_now
from tests.central.store.retention.world import NOW, SIZE, World, frame_id


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("", Rule()),
        ("unlabelled=30", Rule(unlabelled_days=30)),
        ("skipped=7 labels=730 audit=90", Rule(skipped_days=7, labels_days=730, audit_days=90)),
        ("size=500GB", Rule(size_bytes=500 * 10**9)),
        ("size=2000000", Rule(size_bytes=2_000_000)),
    ],
)  # fmt: skip
def test_parse__reads(text: str, rule: Rule) -> None:
    assert parse(text) == rule
    assert parse(rule.words() if not rule.empty else "") == rule


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("frames=3", "give unlabelled"),
        ("unlabelled=x", "whole days"),
        ("unlabelled=0", "days are 1"),
        ("unlabelled=-3", "whole days"),
        ("unlabelled=3 unlabelled=4", "once at most"),
        ("unlabelled=99999", "days are 1"),
        ("size=5 GB", "give unlabelled|at least"),
        ("size=1KB", "at least"),
        ("size=GB", "give bytes"),
    ],
)
def test_parse__refuses(text: str, says: str) -> None:
    with pytest.raises(RetentionError, match=says):
        parse(text)


def test_rules__the_site_goes_before_every_site_and_that_before_the_settings() -> None:
    settings = Rule(unlabelled_days=1)
    assert Rules({}, settings).at("north") == settings
    every = Rules({"*": Rule(unlabelled_days=2), "south": Rule()}, settings)
    assert every.at("north").unlabelled_days == 2 and every.at("south").empty


def test_check__the_audit_log_is_of_all_sites() -> None:
    with pytest.raises(RetentionError, match="one for all sites"):
        check("north", Rule(audit_days=3))
    check("*", Rule(audit_days=3))


async def preview(world: World, settings: Rule = Rule()) -> due.Preview:  # noqa: B008
    return await world.db.run_read(lambda session: due.preview(session, load(session, settings), NOW))


async def test_run__keeps_everything_by_default(world: World) -> None:
    await world.make(1, "pending", 30_000)
    assert (await world.run()).number is None
    assert await world.there() == [1]


async def ages(world: World) -> None:
    for number, (state, days) in enumerate(
        [("pending", 31), ("pending", 29), ("labelled", 61), ("labelled", 59), ("skipped", 8), ("skipped", 6)]
    ):
        await world.make(number, state, days)


async def test_run__deletes_by_state_and_age(world: World) -> None:
    await ages(world)
    await world.rule(unlabelled_days=30, labelled_days=60, skipped_days=7)
    done = await world.run()
    assert await world.there() == [1, 3, 5]
    assert (done.frames, done.bytes, done.number) == (3, 3 * SIZE, 1)


async def test_run__a_site_of_its_own_rule_is_left_alone(world: World) -> None:
    await world.make(1, "pending", 31)
    await world.make(2, "pending", 31, site="south", camera="c2")
    await world.rule(unlabelled_days=30)
    await world.rule("south", unlabelled_days=300)
    await world.run()
    assert await world.there() == [2]


async def test_preview__says_what_a_run_does_and_changes_nothing(world: World) -> None:
    await ages(world)
    await world.make(9, "pending", 31, camera="c2")
    await world.rule(unlabelled_days=30, labelled_days=60, skipped_days=7)
    said = await preview(world)
    assert await world.there() == [0, 1, 2, 3, 4, 5, 9]
    parts = {camera: (p.frames, p.bytes, p.by) for (_, _, camera), p in said.cameras.items()}
    one = {"unlabelled": 1, "labelled": 1, "skipped": 1}
    assert parts == {"c1": (3, 3 * SIZE, one), "c2": (1, SIZE, {"unlabelled": 1})}
    done = await world.run()
    assert (done.frames, done.bytes) == (said.frames, said.bytes)


async def test_run__too_many_bytes_take_skipped_then_old_then_labelled(world: World) -> None:
    for number, (state, days) in enumerate([("labelled", 9), ("pending", 5), ("pending", 6), ("skipped", 1)]):
        await world.make(number, state, days)
    for left, limit in (([0, 1, 2], 3 * SIZE), ([0, 1], 2 * SIZE), ([0], SIZE + 1)):
        await world.rule(size_bytes=limit)
        await world.run()
        assert await world.there() == left


HELD: dict[str, Any] = {
    "held": Hold(frame=frame_id(1), reason="court"),
    "camera": Hold(node="node-north", camera="c1"),
    "flagged": Flag(frame=frame_id(1), by="ann"),
    "snapshot": Snapshot(address="a" * 64, items=[{"frame": frame_id(1), "revision": 1, "split": "train"}]),
    "round": Round(id="r1", state="queued"),
    "lent": Errand(tool="cvat", url="http://x", project="1", frames={frame_id(1): 1}),
    "open": Draft(frame=frame_id(1), author="ann", revision=1),
}


@pytest.mark.parametrize(
    ("reason", "how"), [*((reason, "age") for reason in REASONS), ("held", "size"), ("camera", "labels")]
)
async def test_run__what_is_held_stays_and_is_counted(world: World, reason: str, how: str) -> None:
    await world.make(1, "labelled", 100)
    row = type(HELD[reason])(**{c.key: getattr(HELD[reason], c.key) for c in HELD[reason].__table__.columns
                                if getattr(HELD[reason], c.key) is not None})  # fmt: skip
    async with world.db.write() as session:
        session.add(row)
    await world.rule(**{"age": {"labelled_days": 3}, "size": {"size_bytes": 1}, "labels": {"labels_days": 3}}[how])
    said, done = await preview(world), await world.run()
    assert await world.there() == [1] and (done.frames, done.labels) == (0, 0)
    if how != "labels":
        assert done.kept == said.kept == {reason: 1}
    async with world.db.write() as session:
        await session.delete(await session.merge(row))
    assert (await world.run()).number == 1


async def test_run__a_lease_counts_until_it_ends(world: World) -> None:
    await world.make(1, "pending", 100)
    await world.rule(unlabelled_days=3)
    async with world.db.write() as session:
        session.add(Lease(frame=frame_id(1), by="ann", until=utc_now() + timedelta(minutes=1)))
    assert (await world.run()).kept == {"open": 1}


async def test_run__what_is_answered_meanwhile_stays(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    from central.store.retention import run

    await world.make(1, "labelled", 0)
    await world.rule(unlabelled_days=3)

    class Row:
        id, node, camera, state = frame_id(1), "node-north", "c1", "pending"

    monkeypatch.setattr(run.due, "by_age", lambda session, site, rule, now: [Row])
    assert (await world.run()).frames == 0
    assert await world.there() == [1]


async def test_load__no_rule_in_an_empty_database(world: World) -> None:
    def work(session: Session) -> bool:
        return load(session, Rule()).empty

    assert await world.db.run_read(work)
