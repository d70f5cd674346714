"""Following a job on a cluster, with a simulated Ray: a lost connection, a dead node, a job that is stopped."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any

import pytest

from central.jobs import cluster

REQUEST = {"function": "central.jobs.probe:count", "args": {}, "cluster": "ray://h:1", "job": "j"}


class ActorDeadError(Exception):
    """As Ray's."""


class SlowError(Exception):
    """As Ray's."""


class FakeRay:
    """A cluster with one actor, which tells `polls` one after the other; an exception is raised."""

    def __init__(self, polls: list[Any]) -> None:
        self.polls, self.killed, self.left, self.begun = polls, 0, 0, 0
        self.exceptions = SimpleNamespace(
            RayActorError=ActorDeadError, NodeDiedError=ActorDeadError, GetTimeoutError=SlowError
        )
        self.actor = SimpleNamespace(**{name: self._method(name) for name in ("begin", "poll", "leave")})

    def _method(self, name: str) -> Any:
        return SimpleNamespace(remote=lambda *given: (name, given))

    def get_actor(self, name: str, namespace: str) -> Any:
        assert (name, namespace) == ("job-j", cluster.NAMESPACE)
        return self.actor

    def wait(self, refs: list[Any], timeout: float) -> tuple[list[Any], list[Any]]:
        self.begun += 1
        return refs, []

    def kill(self, actor: Any, no_restart: bool) -> None:
        self.killed += 1

    def get(self, ref: Any, timeout: float) -> Any:
        if ref[0] == "leave":
            self.left += 1
            return None
        if self.killed:
            raise ActorDeadError
        found = self.polls.pop(0)
        if isinstance(found, Exception):
            raise found
        return found

    def shutdown(self) -> None:
        pass


@pytest.fixture
def follow(monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[dict[str, Any], list[Any], FakeRay]]:
    """Follow a job whose actor tells what is given; return the answer, the reports and the cluster."""
    monkeypatch.setattr(cluster, "POLL_S", 0.001)
    monkeypatch.setattr(cluster, "PAUSE_S", 0.001)
    monkeypatch.setattr(cluster.signal, "signal", lambda *_: None)

    def run(*polls: Any, report: Callable[[Mapping[str, Any]], None] | None = None) -> Any:
        ray, steps = FakeRay(list(polls)), list[Any]()
        monkeypatch.setattr(cluster, "connect", lambda _address: ray)
        return cluster.follow(REQUEST, report or steps.append), steps, ray

    return run


def test_follow__to_the_end(follow: Any, capsys: pytest.CaptureFixture[str]) -> None:
    answer, steps, ray = follow(([{"n": 1}], 1, "a line\n", 7, None), ([{"n": 2}], 2, "", 7, {"result": {"x": 1}}))
    assert answer == {"result": {"x": 1}}
    assert steps == [{"n": 1}, {"n": 2}]
    assert (ray.killed, ray.left) == (0, 1)
    assert capsys.readouterr().out == "a line\n"


def test_follow__a_lost_connection_is_made_again(follow: Any) -> None:
    answer, _, ray = follow(ConnectionError("gone"), ([], 0, "", 0, {"result": {}}))
    assert answer == {"result": {}}
    assert ray.begun == 2


def test_follow__a_dead_node_is_told_at_once(follow: Any) -> None:
    answer, _, _ = follow(([], 0, "", 0, None), ActorDeadError())
    assert (answer["transient"], answer["lost"]) == (True, True)


def test_follow__a_failed_one_is_not_found_again(follow: Any) -> None:
    answer, _, ray = follow(([], 0, "", 0, {"error": "no good", "transient": False}))
    assert answer["error"] == "no good"
    assert ray.killed == 1


def test_follow__one_that_is_stopped_is_killed(follow: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    handlers: list[Any] = []
    monkeypatch.setattr(cluster.signal, "signal", lambda _number, handler: handlers.append(handler))
    answer, _, ray = follow(([{"n": 1}], 1, "", 0, None), report=lambda _step: handlers[0]())
    assert answer == {"error": "cancelled"}
    assert ray.killed == 1


@pytest.mark.parametrize(("kind", "cpus", "own"), [("scoring", 4, 0), ("training", 4, 0), ("round", 4, 4)])
def test_options__who_only_hands_out_takes_no_core(kind: str, cpus: int, own: int) -> None:
    assert cluster.options(kind, cpus)["num_cpus"] == own
