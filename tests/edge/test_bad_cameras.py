"""A whole node whose cameras are bad in every way but one: each is told in one line, and the good one goes on.

The node is the real one with the base pack; only the broker is in memory.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge import agent as agents
from edge import node
from edge.config import NodeConfig
from edge.mqtt import MemoryBroker
from edge.runtime.packs import base_path
from edge.sources import stream
from protocols import codec, topics
from protocols.messages import CameraHealth, Event, Health
from tests.edge.test_agent import until

pytestmark = pytest.mark.skipif(not base_path().is_file(), reason="the base pack is not in this installation")
PREFIX = "wayside/v1"
WATCHED = ("black", "sizes", "good", "strict")


class Evening:
    """What a node said while it watched for a while."""

    def __init__(self, folder: Path) -> None:
        for name in ("black", "good"):
            film = cv2.VideoWriter(str(folder / f"{name}.avi"), cv2.VideoWriter.fourcc(*"MJPG"), 20, (320, 192))
            for i in range(20):
                film.write(np.full((192, 320, 3), 0 if name == "black" else 90 + i, np.uint8))
            film.release()
        (folder / "sizes").mkdir()
        for i in range(20):
            size = (96, 160, 3) if i % 2 else (240, 426, 3)
            cv2.imwrite(str(folder / "sizes" / f"{i}.png"), np.random.default_rng(i).integers(0, 255, size, np.uint8))
        (folder / "noise.mp4").write_bytes(np.random.default_rng(0).bytes(50_000))
        good = str(folder / "good.avi")
        config = NodeConfig.model_validate(
            {
                "node": "n1", "data": folder / "data",
                "cameras": {
                    "black": {"source": str(folder / "black.avi"), "loop": True, "fps": 10},
                    "sizes": {"source": str(folder / "sizes"), "loop": True, "fps": 10},
                    "gone": str(folder / "gone.mp4"), "noise": str(folder / "noise.mp4"),
                    "refused": "rtsp://me:secret@127.0.0.1:9/live", "nobody": "rtsp://me:secret@nobody.invalid/live",
                    "good": {"source": good, "loop": True, "fps": 10},
                    "strict": {"source": good, "loop": True, "fps": 2, "redact": {"labels": ["face"]}},
                },
                "metrics": {"health_interval_s": 0.5, "events_interval_s": 0.5},
            }
        )  # fmt: skip
        self.events: list[Event] = []
        self.healths: list[Health] = []
        broker = MemoryBroker()
        broker.watch(self._take)
        self.agent = node.build(config, broker)
        thread = threading.Thread(target=self.agent.run, daemon=True)
        thread.start()
        try:
            until(lambda: len(self.alerts()) >= 5 and all(self.camera(n).frames > 5 for n in WATCHED), 60)
        finally:
            self.agent.stop()
            thread.join(10)

    def _take(self, topic: str, payload: bytes) -> None:
        channel = topics.parse(PREFIX, topic).channel
        if channel == "events":
            self.events.append(codec.decode(channel, payload))  # type: ignore[arg-type]
        if channel == "health":
            self.healths.append(codec.decode(channel, payload))  # type: ignore[arg-type]

    def alerts(self) -> dict[str, str]:
        """Return the text of each camera's first alert."""
        return {e.camera: e.alert for e in reversed(self.events) if e.kind == "alert" and e.raised}

    def camera(self, name: str) -> CameraHealth:
        """Return what the last health message said about a camera."""
        none = CameraHealth(camera=name, state="connecting")
        return next((c for h in reversed(self.healths) for c in h.cameras if c.camera == name), none)


@pytest.fixture(scope="module")
def evening(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Evening]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(agents, "ALERT_S", 2.0)
        patch.setattr(stream, "OPEN_TIMEOUT_S", 2.0)
        yield Evening(tmp_path_factory.mktemp("evening"))


@pytest.mark.parametrize(
    ("camera", "state", "says"),
    [
        ("gone", "failed", "gone.mp4: no such file"),
        ("noise", "failed", "not a video"),
        ("refused", "connecting", "rtsp://127.0.0.1:9/live: connection refused"),
        ("nobody", "connecting", "rtsp://nobody.invalid/live: nobody.invalid: "),
        ("strict", "watching", "face must be hidden, but the pack does not know it"),
    ],
)
def test_bad__is_an_alert_in_one_line(evening: Evening, camera: str, state: str, says: str) -> None:
    text = evening.alerts()[camera]
    assert says in text
    assert "\n" not in text and "secret" not in text
    assert evening.camera(camera).state == state
    assert says in evening.camera(camera).detail


@pytest.mark.parametrize("camera", WATCHED)
def test_watched__whatever_it_shows(evening: Evening, camera: str) -> None:
    found = evening.camera(camera)
    assert found.state == "watching" and found.frames > 0
    assert evening.agent.cameras[camera].meter.faults == 0


def test_strict__keeps_no_frame(evening: Evening) -> None:
    assert evening.camera("strict").selected == 0


def test_good__has_no_alert(evening: Evening) -> None:
    assert "good" not in evening.alerts()
