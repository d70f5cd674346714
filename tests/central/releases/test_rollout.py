"""Rollouts from start to end, through tables and engine, with nodes in memory."""

from __future__ import annotations

from typing import Any

import pytest

from central.releases import offers
from central.releases.offers import ReleaseError
from central.releases.rollout import BusyError, RolloutError, StaleError, actions, history
from central.store.database import Database
from central.store.models import Node, Release
from protocols.messages import Shadow
from tests.central.releases.fleet import NEW, OLD, fleet

pytestmark = pytest.mark.asyncio


async def test_rollout__good_pack_reaches_everybody_in_waves(db: Database) -> None:
    world = fleet(db, 10)
    await world.begin()
    number = await world.start({"waves": [1, "30%"]})
    seen: list[int] = []
    assert await world.until(number, ["done", "halted"], each=lambda: seen.append(len(world.exposed()))) == "done"
    assert sorted(set(seen) - {0}) == [1, 3, 10]
    assert {n.pack for n in world.nodes.values()} == {NEW}
    assert set((await world.stages(number)).values()) == {"healthy"}
    row = await world.rollout(number)
    assert [w.state for w in row.waves] == ["passed"] * 3
    async with db.read() as session:
        assert (counting := await offers.newest(session)) is not None
    assert (counting.pack, counting.number, counting.finished is not None) == (NEW, row.release, True)


async def test_rollout__nobody_outside_the_wave_is_offered_it(db: Database) -> None:
    world = fleet(db, 6)
    await world.begin()
    number = await world.start({"waves": [2], "soak_s": 10_000})
    for _ in range(20):
        await world.step()
    assert world.exposed() == ["n00", "n01"]
    await world.teller.tell_all()
    assert {name: r.pack for name, r in world.retained.items() if r is not None} == {
        **dict.fromkeys(("n00", "n01"), NEW), **dict.fromkeys(("n02", "n03", "n04", "n05"), OLD),
    }  # fmt: skip
    assert (await world.rollout(number)).state == "running"


@pytest.mark.parametrize("behaviour", ["fail", "silent", "stall", "dies", "lies"])
async def test_rollout__a_failure_halts_it_and_takes_everybody_back(db: Database, behaviour: str) -> None:
    world = fleet(db, 12, n01=behaviour)
    await world.begin()
    number = await world.start({"waves": [3], "deadline_s": 60})
    assert await world.until(number, ["rolled_back", "done"]) == "rolled_back"
    assert world.exposed() == ["n00", "n01", "n02"]
    assert {n.pack for n in world.nodes.values() if n.online} == {OLD}
    async with db.read() as session:
        states = [(e.by, e.to_state) for e in await history.read(session, number) if e.kind == "state"]
        assert (counting := await offers.newest(session)) is not None
    assert states == [
        ("anna", "running"), ("centre", "halted"), ("centre", "rolling_back"), ("centre", "rolled_back"),
    ]  # fmt: skip
    assert counting.pack == OLD
    assert (await world.rollout(number)).release in world.revoked


async def test_rollout__installed_and_never_heard_of_is_no_success(db: Database) -> None:
    world = fleet(db, 2, n00="dies")
    await world.begin()
    number = await world.start({"waves": [1], "deadline_s": 500})
    for _ in range(10):
        await world.step()
    assert await world.stages(number) == {"n00": "installed", "n01": "waiting"}
    assert await world.until(number, ["halted", "rolling_back", "rolled_back", "done"]) != "done"


async def test_rollout__hold_waits_for_a_person_who_may_go_on(db: Database) -> None:
    world = fleet(db, 6, n00="fail")
    await world.begin()
    number = await world.start({"waves": [2], "on_halt": "hold"})
    assert await world.until(number, ["halted", "done"]) == "halted"
    for _ in range(5):
        await world.step()
    await world.teller.tell_all()
    assert (release := (await world.rollout(number)).release) is not None
    assert release not in world.signed
    assert world.exposed() == ["n00", "n01"]
    await actions.resume(db, number, None, "bert", "n00 has a broken disk")
    assert await world.until(number, ["done", "halted"]) == "done"
    assert (await world.stages(number))["n00"] == "failed"
    assert {n.pack for n in world.nodes.values() if n.name != "n00"} == {NEW}
    assert release in world.signed


async def test_rollout__nodes_that_are_away_are_skipped_then_offered(db: Database) -> None:
    world = fleet(db, 4)
    await world.begin()
    await world.away("n03")
    number = await world.start({"waves": [1]})
    assert await world.until(number, ["done", "halted"]) == "done"
    assert await world.stages(number) == {"n00": "healthy", "n01": "healthy", "n02": "healthy", "n03": "away"}
    assert "n03" not in world.exposed()
    await world.away("n03", online=True)
    for _ in range(6):
        await world.step()
    assert (await world.stages(number))["n03"] == "healthy"
    assert world.nodes["n03"].pack == NEW


async def test_rollout__another_node_stands_in_for_one_that_is_away(db: Database) -> None:
    world = fleet(db, 4)
    await world.begin()
    await world.away("n00")
    number = await world.start({"waves": [1], "soak_s": 10_000})
    for _ in range(3):
        await world.step()
    assert world.exposed() == ["n01"]
    assert (await world.stages(number))["n01"] == "healthy"


async def test_rollout__a_wave_of_nobody_waits(db: Database) -> None:
    world = fleet(db, 2)
    await world.begin()
    await world.away("n00", "n01")
    number = await world.start({"waves": [1]})
    for _ in range(20):
        await world.step()
    assert (await world.rollout(number)).state == "running"
    await world.away("n00", "n01", online=True)
    assert await world.until(number, ["done", "halted"]) == "done"


async def test_rollout__a_node_that_leaves_after_its_offer_is_a_failure(db: Database) -> None:
    world = fleet(db, 4, n00="silent")
    await world.begin()
    number = await world.start({"waves": [1], "deadline_s": 100, "on_halt": "hold"})
    assert await world.until(number, ["halted", "done"]) == "halted"
    assert "silent" in (await world.rollout(number)).reason
    assert world.exposed() == ["n00"]


async def test_rollout__killed_anywhere_goes_on(db: Database) -> None:
    world = fleet(db, 9)
    await world.begin()
    number = await world.start({"waves": [1, 3]})
    for _ in range(60):
        world.restart()
        await world.teller.tell_all()
        await world.step()
        await world.step()
        if (await world.rollout(number)).state == "done":
            break
    assert (await world.rollout(number)).state == "done"
    assert all([pack for _, pack in n.offered] == [NEW] for n in world.nodes.values())


async def test_rollout__killed_before_it_told_anybody_tells_them_at_the_next_start(db: Database) -> None:
    world = fleet(db, 3)
    await world.begin()
    number = await world.start({"waves": [1]})

    async def killed(_names: Any) -> None:
        raise OSError("killed")

    world.engine._teller.tell = killed
    with pytest.raises(OSError, match="killed"):
        await world.engine.tick()
    assert world.exposed() == []
    world.restart()
    await world.teller.tell_all()
    assert await world.until(number, ["done", "halted"]) == "done"


async def test_rollout__a_centre_that_was_down_makes_nobody_silent(db: Database) -> None:
    world = fleet(db, 3, n00="stall")
    await world.begin()
    number = await world.start({"waves": [1], "deadline_s": 60})
    await world.step()
    await world.step()
    world.now += 100_000
    world.restart()
    await world.step(seconds=1)
    assert (await world.stages(number))["n00"] == "offered"
    world.connected = False
    await world.step(seconds=100_000)
    for _ in range(20):
        await world.step()
    world.connected = True
    await world.step()
    await world.step(seconds=100_000)
    assert (await world.stages(number))["n00"] == "offered"


async def test_rollout__paused_offers_nobody_and_its_clock_stands(db: Database) -> None:
    world = fleet(db, 4, n00="stall")
    await world.begin()
    number = await world.start({"waves": [1], "deadline_s": 60})
    await world.step()
    await world.step()
    await actions.pause(db, number, None, "anna")
    for _ in range(30):
        await world.step()
    assert (await world.rollout(number)).state == "paused"
    assert world.exposed() == ["n00"]
    await actions.resume(db, number, None, "anna")
    assert await world.until(number, ["rolled_back", "done"]) == "rolled_back"


async def test_abort__nobody_else_is_offered_it_and_those_who_have_it_keep_it(db: Database) -> None:
    world = fleet(db, 5, n01="silent")
    await world.begin()
    number = await world.start({"waves": [2], "deadline_s": 10_000})
    for _ in range(4):
        await world.step()
    await actions.abort(db, number, None, "anna", "wrong pack")
    for _ in range(4):
        await world.step()
    assert await world.stages(number) == {
        "n00": "healthy", "n01": "withdrawn", **dict.fromkeys(("n02", "n03", "n04"), "waiting"),
    }  # fmt: skip
    assert world.nodes["n00"].pack == NEW
    withdrawn = world.retained["n01"]
    assert withdrawn is not None
    assert withdrawn.pack == OLD
    assert (await world.rollout(number)).release in world.revoked


async def test_start__a_node_that_came_after_the_plan_is_in_the_last_wave(db: Database) -> None:
    world = fleet(db, 3)
    await world.begin()
    number = await actions.create(db, NEW, {"waves": [1]}, "anna")
    async with db.write() as session:
        session.add(Node(name="n99", site="south"))
    await actions.start(db, number, None, "anna")
    row = next(n for n in (await world.rollout(number)).nodes if n.node == "n99")
    assert (row.wave, row.stage) == (1, "waiting")


async def test_rollback__brings_everybody_back_from_a_rollout_that_was_done(db: Database) -> None:
    world = fleet(db, 6)
    await world.begin()
    number = await world.start({"waves": [2]})
    assert await world.until(number, ["done"]) == "done"
    await actions.rollback(db, number, None, "anna", "complaints from the north")
    assert await world.until(number, ["rolled_back"]) == "rolled_back"
    assert {n.pack for n in world.nodes.values()} == {OLD}
    async with db.read() as session:
        latest = await session.get_one(Release, 3)
        assert (counting := await offers.newest(session)) is not None
    assert (latest.pack, latest.by, latest.rollout) == (OLD, "anna", number)
    assert counting.pack == OLD


async def test_rollback__a_node_that_went_back_by_itself_is_left_alone(db: Database) -> None:
    world = fleet(db, 4, n01="fail")
    await world.begin()
    number = await world.start({"waves": [2]})
    assert await world.until(number, ["rolled_back", "done"]) == "rolled_back"
    assert [p for _, p in world.nodes["n01"].offered] == [NEW]
    assert [p for _, p in world.nodes["n00"].offered] == [NEW, OLD]
    row = next(n for n in (await world.rollout(number)).nodes if n.node == "n01")
    assert (row.stage, row.reason) == ("returned", "had failed: checking: scores is off by 0.2")


async def test_rollback__a_node_that_is_away_goes_back_when_it_returns(db: Database) -> None:
    world = fleet(db, 3)
    await world.begin()
    number = await world.start({"waves": [3]})
    assert await world.until(number, ["done"]) == "done"
    await world.away("n02")
    await actions.rollback(db, number, None, "anna")
    assert await world.until(number, ["rolled_back"]) == "rolled_back"
    assert (await world.stages(number))["n02"] == "returning"
    await world.away("n02", online=True)
    for _ in range(5):
        await world.step()
    assert (await world.stages(number))["n02"] == "returned"
    assert world.nodes["n02"].pack == OLD


async def test_gates__a_shadow_run_that_disagrees_halts(db: Database) -> None:
    world = fleet(db, 4)
    for node in world.nodes.values():
        node.shadow = Shadow(frames=40, agreement=0.1, score_shift=0.0, boxes_before=9, boxes_after=30)
    await world.begin()
    number = await world.start({"waves": [1], "on_halt": "hold"})
    assert await world.until(number, ["halted", "done"]) == "halted"
    assert (await world.rollout(number)).reason.startswith("agreement: 0.10 on 40 frames")
    await actions.resume(db, number, None, "anna", "new classes", gates={"agreement": {"limit": 0.05}})
    assert await world.until(number, ["halted", "done"]) == "done"


async def test_gates__a_slower_fleet_halts_and_crashes_count(db: Database) -> None:
    world = fleet(db, 3)
    await world.begin()
    number = await world.start({"waves": [2], "on_halt": "hold", "soak_s": 40})
    await world.step()
    await world.step()
    world.nodes["n00"].latency = world.nodes["n01"].latency = 90.0
    world.nodes["n00"].crashes = 2
    assert await world.until(number, ["halted", "done"]) == "halted"
    reason = (await world.rollout(number)).reason
    assert "latency: 4.50 times" in reason
    assert "crashes: 1 of 2 nodes crashed; n00 2 times" in reason


async def test_actions__the_second_of_two_people_is_told(db: Database) -> None:
    world = fleet(db, 2)
    await world.begin()
    number = await world.start()
    revision = (await world.rollout(number)).revision
    await actions.pause(db, number, revision, "anna")
    with pytest.raises(StaleError, match="paused at revision"):
        await actions.abort(db, number, revision, "bert")
    assert (await world.rollout(number)).state == "paused"


async def test_actions__one_rollout_at_a_time_and_no_release_meanwhile(db: Database) -> None:
    world = fleet(db, 2)
    await world.begin()
    number = await world.start()
    other = await actions.create(db, OLD, {}, "bert")
    with pytest.raises(BusyError, match=f"rollout {number} is running"):
        await actions.start(db, other, None, "bert")
    with pytest.raises(ReleaseError, match=f"rollout {number} is running"):
        await offers.create(db, OLD, "bert")


@pytest.mark.parametrize(
    ("state", "action"),
    [("planned", "pause"), ("planned", "rollback"), ("running", "start"), ("done", "abort"), ("aborted", "resume")],
)
async def test_actions__not_from_every_state(db: Database, state: str, action: str) -> None:
    world = fleet(db, 1)
    await world.begin()
    number = await actions.create(db, NEW, {}, "anna")
    async with db.write() as session:
        (await actions.load(session, number)).state = state
    with pytest.raises(RolloutError, match=f"{action}: the rollout is {state}"):
        await getattr(actions, action)(db, number, None, "anna")


async def test_create__unknown_pack_or_no_node(db: Database) -> None:
    world = fleet(db, 1)
    with pytest.raises(RolloutError, match="not registered"):
        await actions.create(db, NEW, {}, "anna")
    await world.begin()
    with pytest.raises(RolloutError, match="no node is in any"):
        await actions.create(db, NEW, {"groups": [{"name": "moon", "sites": ["moon"]}]}, "anna")


async def test_release__an_update_that_was_never_offered_offers_nothing(db: Database) -> None:
    world = fleet(db, 3)
    await world.begin()
    number = await world.start({"waves": [1], "soak_s": 10_000})
    await world.step()
    release = (await world.rollout(number)).release
    assert release is not None
    await world.say(world.nodes["n02"], release, NEW, "fetching")
    async with db.read() as session:
        due = await offers.due(session, ["n00", "n02"])
        assert (await session.get_one(Node, "n02")).update is not None
    assert {name: r.pack for name, r in due.items() if r is not None} == {"n00": NEW, "n02": OLD}
