"""A node reduced to its spool and its link, which writes down what it has spooled before anybody may kill it.

python -m tests.faults.sender FOLDER PORT PASSWORD FRAMES RATE [--forgetful]

``FOLDER/spooled.txt`` gets the id of each frame once `Spool.add` has returned, so each of them is promised to reach
the centre. ``--forgetful`` plants the bug that the oracle must find: a frame leaves the spool when it is sent, and not
when its receipt comes.
"""

from __future__ import annotations

import hashlib
import sys
import time
from pathlib import Path
from typing import Final

from edge.commands.swarm import small_jpeg
from edge.identity import next_boot
from edge.link import Link, LinkSettings, Presence
from edge.mqtt import Broker, PahoConnector
from edge.sources import frame_id
from edge.spool import Spool
from protocols.messages import Assessment, CameraInfo, FrameMessage, Selection, Status, utc_now

NAME: Final = "n1"
PREFIX: Final = "wayside/v1"


class ForgetfulSpool(Spool):
    """The planted bug."""

    def read(self, frame: str) -> bytes | None:
        """Return the frame, and delete it."""
        found = super().read(frame)
        self.remove([frame])
        return found


def main() -> None:
    """Spool and send until all frames are spooled and receipted."""
    folder, port, password = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    frames, rate = int(sys.argv[4]), float(sys.argv[5])
    kind = ForgetfulSpool if "--forgetful" in sys.argv else Spool
    spool = kind(folder / "spool", 1 << 28, 100_000, reserve=4096)
    boot = next_boot(folder, NAME)
    image = small_jpeg()

    def status(state: Presence) -> Status:
        camera = CameraInfo(camera="c", source="made", width=64, height=64)
        return Status(
            state=state, node=NAME, boot=boot, time=utc_now(), site="s", version="0", backend="-", cameras=[camera]
        )

    def made(sequence: int) -> FrameMessage:
        moment = utc_now()
        return FrameMessage(
            id=frame_id(moment), node=NAME, boot=boot, sequence=sequence, camera="c", site="s", time=moment,
            width=64, height=64, assessment=Assessment(uncertainty=0.5),
            selection=Selection(keep=True, probability=1.0, reason="made", policy="all"),
            sha256=hashlib.sha256(image).hexdigest(), image=image,
        )  # fmt: skip

    settings = LinkSettings(PREFIX, NAME, 8, 1.0, backoff_cap=0.3)
    broker = Broker("127.0.0.1", port, f"wayside-{NAME}", NAME, password)
    link = Link(settings, PahoConnector(broker), spool, status, {})
    link.start()
    promised = folder / "spooled.txt"
    count = len(promised.read_text().splitlines()) if promised.exists() else 0
    with promised.open("a") as file:
        for sequence in range(frames - count):
            message = made(sequence)
            if spool.add(message, 0.5):
                file.write(f"{message.id}\n")
                file.flush()
            link.wake()
            time.sleep(1.0 / rate)
    while len(spool):
        time.sleep(0.05)
    link.stop(3.0)


if __name__ == "__main__":
    main()
