"""What each of several servers asks the broker for."""

from __future__ import annotations

import pytest

from central.address import BrokerAddress
from central.link import Link
from central.sharing import SHARE, filters
from protocols import topics

P = "w/v1"
EVERY = topics.subscriptions(P, "centre")


def channels(found: list[str]) -> dict[str, bool]:
    """Return the channels that are asked for, and whether in turn."""
    return {f.removeprefix(SHARE).split("/")[3]: f.startswith(SHARE) for f in found}


def test_filters__members_take_turns_but_for_answers_and_what_is_retained() -> None:
    follower, leader = (channels(filters(P, "member", leads, serves=True)) for leads in (False, True))
    in_turn = {"health": True, "events": True, "frames": True, "fetch": True, "update": True, "reply": False}
    assert follower == in_turn
    assert leader == in_turn | {"status": False}


def test_filters__who_cannot_answer_fetches_is_not_asked() -> None:
    assert "fetch" not in channels(filters(P, "member", leads=False, serves=False))


def test_filters__at_a_broker_that_cannot_share_the_leader_takes_all() -> None:
    assert filters(P, "lone", leads=True, serves=True) == EVERY
    assert channels(filters(P, "lone", leads=False, serves=True)) == {"reply": False}


@pytest.mark.parametrize("serves", [True, False])
def test_filters__together_nothing_is_missed_or_taken_twice(serves: bool) -> None:
    leader, follower = filters(P, "member", True, True), filters(P, "member", False, serves)
    assert {f.removeprefix(SHARE) for f in leader} == set(EVERY)
    plain = [f for f in follower if not f.startswith(SHARE)]
    assert [f.split("/")[3] for f in plain] == ["reply"], "only answers go to everybody"


def test_unshared__a_member_becomes_a_lone_one() -> None:
    link = Link(BrokerAddress("127.0.0.1", 1), P, lambda _: None, part="member")
    link.unshared("no MQTT 5")
    assert (link.part, link.wish) == ("lone", "member")
    link.lead(True)
    link.serves = True
    assert link.filters() == EVERY
