"""Follow a job on a Ray cluster, from a process of the centre's machine: start it there, or find it again by its name.

    request -> connect -> actor ``job-ID`` (`host`): found, or made -> begin -> poll -> reports, log, answer
    connection lost -> connect again; the job does not notice         this process asked to end -> the actor is killed
    the node of the actor died -> an answer that allows another attempt

What a job is given, passwords included, travels in a call to the actor and lies in the memory of its node; Ray writes
neither calls nor their arguments to a disk.
"""

from __future__ import annotations

import signal
import sys
import threading
import time
import warnings
from collections.abc import Callable, Mapping
from typing import Any, Final

from central.jobs.host import Host

NAMESPACE: Final = "wayside"
POLL_S: Final = 0.5
PATIENCE_S: Final = 600.0
"""For a cluster that cannot be reached: a restart of its head takes a minute or two."""
PAUSE_S: Final = 5.0
ANSWER_S: Final = 60.0
"""For an answer to a poll; an actor on a busy node is slow, one on a dead node is told of within 30 s."""
KILL_S: Final = 12.0
"""For an actor to be gone; less than the patience of who asks this process to end."""
COORDINATORS: Final = ("scoring", "training")
"""Kinds of jobs that only hand out work: they take no core, and run where the cluster's head does, whose death ends it
all anyway."""
HEAD: Final = "node:__internal_head__"
Message = dict[str, Any]


class ClusterError(Exception):
    """What is wrong with a cluster, in one line."""


def connect(address: str) -> Any:
    """Return the module `ray`, connected to the cluster at ``ray://HOST:PORT``. Raises ClusterError."""
    try:
        import ray
    except ImportError:
        raise ClusterError("jobs on a cluster need Ray; pip install 'wayside[ray]'") from None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ray.init(address, namespace=NAMESPACE, log_to_driver=False, configure_logging=False)
    except (ConnectionError, RuntimeError, OSError) as error:
        ray.shutdown()
        raise ClusterError(f"cluster {address}: {str(error).strip().splitlines()[-1][:300]}") from None
    return ray


def options(kind: str, cpus: int) -> dict[str, Any]:
    """Return where the actor of a job of `kind` runs: `cpus` cores for what works itself."""
    if kind in COORDINATORS:
        return {"num_cpus": 0, "resources": {HEAD: 0.001}}
    return {"num_cpus": cpus}


class _Follower:
    """Follows one job over several connections."""

    def __init__(self, request: Mapping[str, Any], report: Callable[[Mapping[str, Any]], None]) -> None:
        self._request, self._report = request, report
        self._name = f"job-{request['job']}"
        self._seen = self._printed = 0
        self.stopping = threading.Event()

    def _actor(self, ray: Any) -> Any:
        try:
            return ray.get_actor(self._name, namespace=NAMESPACE)
        except ValueError:
            where = options(self._request.get("kind", ""), int(self._request.get("cpus", 1)))
            known = {"name": self._name, "namespace": NAMESPACE, "lifetime": "detached"}
            return ray.remote(Host).options(**known, max_restarts=0, max_concurrency=8, **where).remote()

    def follow(self, ray: Any) -> Message | None:
        """Follow the job to its end over this connection; None where it was asked to stop."""
        actor = self._actor(ray)
        begun = actor.begin.remote({name: self._request.get(name, {}) for name in ("function", "args", "env")})
        told = False
        while not ray.wait([begun], timeout=POLL_S)[0]:
            if self.stopping.is_set():
                break
            if not told:
                told = True
                self._report({"detail": "waits for a place on the cluster"})
        if told:
            self._report({"detail": ""})
        while not self.stopping.is_set():
            poll = actor.poll.remote(self._seen, self._printed)
            steps, self._seen, text, self._printed, answer = ray.get(poll, timeout=ANSWER_S)
            for step in steps:
                self._report(step)
            if text:
                sys.stdout.write(text)
                sys.stdout.flush()
            if answer is not None:
                self._end(ray, actor, answer)
                return dict(answer)
            self.stopping.wait(POLL_S)
        _kill(ray, actor)
        return None

    def _end(self, ray: Any, actor: Any, answer: Mapping[str, Any]) -> None:
        if "error" in answer:
            _kill(ray, actor)  # another attempt must not find this one
        else:
            ray.get(actor.leave.remote(), timeout=ANSWER_S)


def _kill(ray: Any, actor: Any) -> None:
    """End `actor`, and see that it is gone: the client puts the request into a queue that does not outlive it."""
    ray.kill(actor, no_restart=True)
    deadline = time.monotonic() + KILL_S
    while time.monotonic() < deadline:
        try:
            ray.get(actor.poll.remote(0, 0), timeout=POLL_S)
        except ray.exceptions.RayActorError:
            return
        except ray.exceptions.GetTimeoutError:
            continue
        time.sleep(POLL_S / 5)
    print("the cluster did not say that the job is gone", flush=True)


def _gone(ray: Any, error: Exception) -> bool:
    """Whether `error` says that the actor, or its node, is dead; else it is the connection that was lost."""
    return isinstance(error, (ray.exceptions.RayActorError, ray.exceptions.NodeDiedError))


def follow(request: Mapping[str, Any], report: Callable[[Mapping[str, Any]], None]) -> Message:
    """Run the job that `request` describes on ``request["cluster"]`` and return its answer, as `worker.answer` does."""
    follower = _Follower(request, report)

    def asked_to_end() -> None:
        signal.signal(signal.SIGTERM, lambda *_: follower.stopping.set())

    asked_to_end()
    patience = time.monotonic() + PATIENCE_S
    why = ""
    while time.monotonic() < patience and not follower.stopping.is_set():
        try:
            ray = connect(request["cluster"])
        except ClusterError as error:
            why = str(error)
            if "pip install" in why:
                return {"error": why}
            print(why, flush=True)
            report({"detail": f"waits for the cluster: {why}"[:500]})
            follower.stopping.wait(PAUSE_S)
            continue
        asked_to_end()  # again: connecting puts a handler of its own there
        patience = time.monotonic() + PATIENCE_S
        # A boundary: the client raises what its transport does, which is of no one kind.
        try:
            answer = follower.follow(ray)
            return answer or {"error": "cancelled"}
        except Exception as error:  # noqa: BLE001 - see above
            if _gone(ray, error):
                return {"error": "the node that it ran on is gone", "transient": True, "lost": True}
            why = f"the connection to {request['cluster']} was lost ({type(error).__name__})"
            print(f"{why}: {str(error)[:500]}", flush=True)
            follower.stopping.wait(PAUSE_S)
        finally:
            ray.shutdown()
    return {"error": why or "cancelled", "transient": True}
