"""Alerts are told once when they begin and once when they are over."""

from __future__ import annotations

from edge.alerts import Alerts, Patience


def test_changes__once_each_way() -> None:
    alerts = Alerts()
    assert alerts.changes({}) == []
    assert alerts.changes({"away": "no answer"}) == [("no answer", True)]
    assert alerts.changes({"away": "no answer; trying again in 2 s"}) == []
    assert alerts.standing == {"away": "no answer"}
    assert alerts.changes({"redact": "no person"}) == [("no answer", False), ("no person", True)]
    assert alerts.changes({}) == [("no person", False)]


def test_patience__a_moment_is_usual() -> None:
    patience = Patience()
    seen = [patience.lasts(now, wrong, 10.0) for now, wrong in [(0, True), (9, True), (9.5, False), (10, True)]]
    assert seen == [False] * 4
    assert not patience.lasts(19.9, True, 10.0)
    assert patience.lasts(20.0, True, 10.0)
    assert not patience.lasts(21.0, False, 10.0)
