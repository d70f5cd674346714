"""A node reduced to its spool and its link, which writes down what it has spooled before anybody may kill it.

python -m tests.faults.sender FOLDER PORT PASSWORD --rate 40 --quota 200 [--replay 3] [--bug acked]

It makes frames until ``FOLDER/enough`` is there, and ends when its spool is empty. ``--replay 3`` sends every frame
three times and out of order. ``--bug acked`` plants the bug that the oracle must find: a frame leaves the spool when
the broker has it, and not when its receipt comes. ``--bug wall-clock`` measures durations with the clock of the day.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import random
import time
from collections.abc import Collection
from pathlib import Path
from typing import Any, Final, TextIO

import msgspec

from edge.commands.swarm import small_jpeg
from edge.identity import next_boot
from edge.link import Inbox, Link, LinkError, LinkSettings, Presence, Session, Will
from edge.mqtt import Broker, PahoConnector
from edge.sources import frame_id
from edge.spool import Spool
from edge.spool.spool import Entry
from protocols import codec
from protocols.messages import Assessment, CameraInfo, FrameMessage, Selection, Status, utc_now
from tests.faults import clock
from tests.faults.oracle import JOURNAL

NAME: Final = "n1"
PREFIX: Final = "wayside/v1"
MIX: Final = 24
"""Frames that wait to be sent again: how far out of order they come."""


class LoggedSpool(Spool):
    """Writes down what it is about to give up."""

    log: TextIO | None = None

    def _evict(self, victims: Collection[Entry]) -> None:
        for victim in victims:
            if self.log is not None:
                self.log.write(f"- {victim.id}\n")
                self.log.flush()
        super()._evict(victims)


class ReplayingSession:
    """Sends every frame `times` times, the later ones at random."""

    def __init__(self, inner: Session, times: int, draw: random.Random) -> None:
        self.inner, self._times, self._draw = inner, times, draw
        self._again: list[tuple[str, bytes]] = []

    def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> int | None:
        """Publish, and something older again."""
        number = self.inner.publish(topic, payload, retain=retain)
        if topic.endswith("/frames"):
            self._again += [(topic, payload)] * (self._times - 1)
            while len(self._again) > MIX:
                self.inner.publish(*self._again.pop(self._draw.randrange(len(self._again))))
        return number

    def close(self, timeout: float) -> None:
        """Disconnect."""
        with contextlib.suppress(LinkError):
            for item in self._again if timeout else ():
                self.inner.publish(*item)
        self.inner.close(timeout)


class AckedSession(ReplayingSession):
    """The planted bug."""

    spool: Spool

    def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> int | None:
        """Publish, and delete what the broker has."""
        number = self.inner.publish(topic, payload, retain=retain)
        if topic.endswith("/frames"):
            self._flying: list[tuple[Any, str]] = getattr(self, "_flying", [])
            message: Any = codec.decode("frames", payload)
            self._flying.append((self.inner._handed_over[-1], message.id))  # type: ignore[attr-defined]
            self.spool.remove([frame for info, frame in self._flying if info.is_published()])
            self._flying = [(info, frame) for info, frame in self._flying if not info.is_published()]
        return number


class Connector:
    """paho, with the sessions above."""

    def __init__(self, broker: Broker, spool: Spool, replay: int, bug: str) -> None:
        self._real, self._spool, self._replay, self._bug = PahoConnector(broker), spool, replay, bug

    def connect(self, will: Will, filters: list[str], inbox: Inbox) -> Session:
        """Connect."""
        kind = AckedSession if self._bug == "acked" else ReplayingSession
        session = kind(self._real.connect(will, filters, inbox), self._replay, random.Random())
        if isinstance(session, AckedSession):
            session.spool = self._spool
        return session


def made(boot: str, sequence: int, image: bytes) -> FrameMessage:
    """Return a frame whose image is unlike any other's and whose name is its id."""
    moment = utc_now()
    frame = frame_id(moment)
    image = image[:2] + b"\xff\xfe" + (len(frame) + 2).to_bytes(2, "big") + frame.encode() + image[2:]
    return FrameMessage(
        id=frame, node=NAME, boot=boot, sequence=sequence, camera="c", site="s", time=moment, name=frame,
        width=64, height=64, assessment=Assessment(uncertainty=0.5),
        selection=Selection(keep=True, probability=1.0, reason="made", policy="all"),
        sha256=hashlib.sha256(image).hexdigest(), image=image,
    )  # fmt: skip


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("port", type=int)
    parser.add_argument("password")
    parser.add_argument("--rate", type=float, default=40.0)
    parser.add_argument("--quota", type=int, default=100_000)
    parser.add_argument("--replay", type=int, default=1)
    parser.add_argument("--clock", choices=list(clock.CLOCKS), help="have a wrong wall clock")
    parser.add_argument("--poison", type=int, default=-1, help="number of a frame that nobody can store")
    parser.add_argument("--timeout", type=float, default=1.0, help="seconds that a receipt is waited for")
    parser.add_argument("--bug", default="")
    return parser.parse_args()


def main() -> None:
    """Spool and send until it is enough and everything has its receipt."""
    given = arguments()
    if given.clock:
        clock.install(given.clock, given.bug == "wall-clock")
    with (given.folder / JOURNAL).open("a") as log:
        spool = LoggedSpool(given.folder / "spool", 1 << 28, given.quota, reserve=4096)
        spool.log = log
        boot, image, draw = next_boot(given.folder, NAME), small_jpeg(), random.Random()

        def status(state: Presence) -> Status:
            camera = CameraInfo(camera="c", source="made", width=64, height=64)
            return Status(state=state, node=NAME, boot=boot, time=utc_now(), site="s", backend="-", cameras=[camera])

        settings = LinkSettings(PREFIX, NAME, 8, given.timeout, backoff_cap=0.3)
        broker = Broker("127.0.0.1", given.port, f"wayside-{NAME}", NAME, given.password)
        link = Link(settings, Connector(broker, spool, given.replay, given.bug), spool, status, {})
        link.start()
        sequence = 0
        while not (given.folder / "enough").exists():
            message = made(boot, sequence, image)
            if sequence == given.poison:  # an image that is not what its hash says can never be stored
                message = msgspec.structs.replace(message, image=message.image + b"!")
            if spool.add(message, draw.random()):
                sequence += 1
                log.write(f"+ {message.id}\n")
                log.flush()
            link.wake()
            time.sleep(1.0 / given.rate)
        while len(spool):
            time.sleep(0.05)
        link.stop(3.0)
        print("sent again:", link.window.resent, flush=True)


if __name__ == "__main__":
    main()
