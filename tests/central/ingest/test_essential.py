"""Under load the messages of a batch that say nothing new cost nothing."""

from __future__ import annotations

from typing import Any

from central.ingest.consumer import _essential
from protocols.messages import Event, Health, Status, utc_now

NOW = utc_now()


def health(node: str, uptime: float) -> Health:
    return Health(node=node, boot="b", time=NOW, uptime_s=uptime)


def test_essential__the_last_health_of_each_node_in_its_place() -> None:
    a1, b, a2 = health("a", 1.0), health("b", 1.0), health("a", 2.0)
    status = Status(state="stopped", node="a", boot="b")
    assert _essential([a1, b, status, a2]) == [b, status, a2]
    assert _essential([a1, status]) == [a1, status]


def test_essential__alerts_but_no_counts() -> None:
    def event(**more: Any) -> Event:
        return Event(node="a", camera="c", time=NOW, **more)

    alert = event(kind="alert", alert="dark", raised=True)
    assert _essential([event(kind="counts", counts={"car": 1}), alert]) == [alert]
