"""A broker in memory, for tests and simulations."""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Callable

from edge.link import Inbox, LinkError, Lost, Received, Refused, Session, Will


class MemoryBroker:
    """A broker in memory: retained messages, last wills, and switches for what goes wrong. Also a `Connector`."""

    def __init__(self) -> None:
        self.down = False
        """Whether connections are refused."""
        self.deaf = False
        """Whether publications are taken and lost."""
        self.forbidden: dict[str, str] = {}
        """Topics whose publications are refused, and the reason."""
        self.published: list[tuple[str, bytes]] = []
        self.retained: dict[str, bytes] = {}
        self._sessions: list[MemorySession] = []
        self._watchers: list[Callable[[str, bytes], None]] = []
        self._lock = threading.RLock()

    def connect(self, will: Will, filters: list[str], inbox: Inbox) -> Session:
        """Connect. Raises LinkError while `down`."""
        if self.down:
            raise LinkError("broker in memory is down")
        session = MemorySession(self, will, filters, inbox)
        with self._lock:
            self._sessions.append(session)
            for topic, payload in self.retained.items():
                session.deliver(topic, payload)
        return session

    def watch(self, watcher: Callable[[str, bytes], None]) -> None:
        """Call `watcher` with each publication, as the centre would see it."""
        self._watchers.append(watcher)

    def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> None:
        """Publish, from whoever."""
        if self.deaf:
            return
        with self._lock:
            if retain:
                self.retained[topic] = payload
            self.published.append((topic, payload))
            for session in self._sessions:
                session.deliver(topic, payload)
        for watcher in self._watchers:
            watcher(topic, payload)

    def kick(self) -> None:
        """Cut every connection, as a broker that dies: last wills are published."""
        with self._lock:
            sessions, self._sessions = self._sessions, []
        for session in sessions:
            session.cut()
            self.publish(session.will.topic, session.will.payload, retain=True)

    def leave(self, session: MemorySession) -> None:
        """Forget `session`."""
        with self._lock:
            self._sessions = [s for s in self._sessions if s is not session]


class MemorySession:
    """One connection to a `MemoryBroker`."""

    def __init__(self, broker: MemoryBroker, will: Will, filters: list[str], inbox: Inbox) -> None:
        self.will = will
        self._broker, self._inbox, self._alive = broker, inbox, True
        self._number = 0
        self._filters = [f.split("/") for f in filters]

    def deliver(self, topic: str, payload: bytes) -> None:
        """Hand a publication to the subscriber, if it wants it."""
        levels = topic.split("/")
        if any(
            len(f) == len(levels) and all(a in ("+", b) for a, b in zip(f, levels, strict=True)) for f in self._filters
        ):
            with contextlib.suppress(queue.Full):
                self._inbox.put_nowait(Received(topic, payload))

    def cut(self) -> None:
        """The connection is gone."""
        self._alive = False
        with contextlib.suppress(queue.Full):
            self._inbox.put_nowait(Lost("cut"))

    def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> int:
        """Hand over. Raises LinkError where the connection was cut."""
        if not self._alive:
            raise LinkError("connection was cut")
        self._number += 1
        if topic in self._broker.forbidden:
            self._inbox.put_nowait(Refused(self._broker.forbidden[topic], topic, self._number))
        else:
            self._broker.publish(topic, payload, retain=retain)
        return self._number

    def close(self, timeout: float) -> None:
        """Disconnect cleanly."""
        self._alive = False
        self._broker.leave(self)
