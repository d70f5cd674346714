"""Golden wire vectors: what each channel carries, byte for byte. A vector never changes; a new form gets a new one,
named after the channel and what is new: ``receipts-refused``.

python tests/protocols/test_vectors.py     writes the vectors that are missing
"""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from pathlib import Path

import pytest

from protocols import codec
from protocols import messages as m
from protocols.topics import CHANNELS

VECTORS = Path(__file__).parent.parent / "vectors"
TIME = datetime(2026, 5, 17, 8, 30, 15, 250000, tzinfo=UTC)
PACK = "ab" * 32
ID = "019e0000-0000-7000-8000-000000000001"
IMAGE = b"\xff\xd8\xff\xe0 not a real JPEG \xff\xd9"

EXAMPLES: dict[str, m.Message] = {
    "status": m.Status(
        state="online", node="entrance-3", boot="000007-9f3c2a11", time=TIME, site="north", version="0.1.0", pack=PACK,
        release=4, backend="onnxruntime-cpu",
        cameras=[m.CameraInfo(camera="gate", source="rtsp://10.0.0.5/stream", width=1280, height=720)],
    ),
    "health": m.Health(
        node="entrance-3", boot="000007-9f3c2a11", time=TIME, uptime_s=61.5, pack=PACK, spool_frames=3,
        spool_bytes=180000, spool_quota_bytes=2147483648, evicted=1, sent=12, sent_bytes=720000, temperature_c=48.5,
        cameras=[m.CameraHealth(
            camera="gate", state="watching", fps=9.5, frames=570, selected=15, dropped=2, latency_p50_ms=21.0,
            latency_p95_ms=35.5, blur=0.25, uncertainty=0.5,
        )],
    ),
    "events": m.Event(node="entrance-3", camera="gate", time=TIME, kind="counts", counts={"car": 3, "person": 1}),
    "frames": m.FrameMessage(
        id=ID, node="entrance-3", boot="000007-9f3c2a11", sequence=14, camera="gate", site="north", time=TIME,
        width=1280, height=720, pack=PACK,
        assessment=m.Assessment(blur=0.25, uncertainty=0.5, reasons={"uncertainty": "two classes are equally likely"}),
        selection=m.Selection(keep=True, probability=0.125, reason="two classes are equally likely", policy="budget"),
        detections=[m.Detection(
            box=(10.0, 20.0, 110.5, 220.25), label="car", score=0.75, spread=(1.0, 1.5, 2.0, 2.5), blur=0.5
        )],
        redactions=[m.Redaction(kind="mask", method="fill", box=(0.0, 0.0, 100.0, 50.0))],
        embedding=[0.5, -0.5, 0.5, -0.5], sha256=hashlib.sha256(IMAGE).hexdigest(), image=IMAGE,
    ),
    "fetch": m.Fetch(request="abababababab-262144", name=f"packs/{PACK}", offset=262144, length=262144),
    "update": m.Update(
        node="entrance-3", boot="000007-9f3c2a11", time=TIME, release=5, pack=PACK, step="rolled-back", progress=1.0,
        reason="checking: scores is off by 0.2",
    ),
    "reply": m.Reply(id="c-1", node="entrance-3", camera="gate", ok=True, time=TIME, image=IMAGE),
    "receipts": m.Receipt(ids=[ID]),
    "chunks": m.Chunk(
        request="abababababab-262144", name=f"packs/{PACK}", offset=262144, total=262148, data=b"\x00\x01\x02\xff"
    ),
    "policy": m.Policy(version=3, frames_per_hour=120.0, audit_share=0.25, min_gap_s=2.0, jpeg_quality=85),
    "release": m.Release(number=5, pack=PACK, size=1234567, name="street 5", time=TIME, notes="round 5"),
    "command": m.Command(id="c-1", action="snapshot", camera="gate"),
    "status-will": m.Status(state="offline", node="entrance-3", boot="000007-9f3c2a11"),
    "events-alert": m.Event(
        node="entrance-3", camera="gate", time=TIME, kind="alert", alert="dark", raised=True
    ),
    "status-tags": m.Status(
        state="online", node="entrance-3", boot="000007-9f3c2a11",
        cameras=[m.CameraInfo(camera="gate", source="rtsp://10.0.0.5/stream", tags=["junction", "indoor"])],
    ),
    "status-places": m.Status(
        state="online", node="entrance-3", boot="000007-9f3c2a11",
        cameras=[m.CameraInfo(camera="gate", source="street:", latitude=52.5162, longitude=13.3777)],
    ),
    "health-crashes": m.Health(node="entrance-3", boot="000007-9f3c2a11", time=TIME, uptime_s=61.5, crashes=0),
    "update-shadow": m.Update(
        node="entrance-3", boot="000007-9f3c2a11", time=TIME, release=5, pack=PACK, step="committed", progress=1.0,
        starts=1,
        shadow=m.Shadow(
            frames=40, agreement=0.875, score_shift=-0.0625, boxes_before=60, boxes_after=52, latency_before_ms=20.5,
            latency_after_ms=22.0,
            cameras=[m.ShadowCamera(
                camera="gate", frames=40, agreement=0.875, score_shift=-0.0625, boxes_before=60, boxes_after=52
            )],
        ),
    ),
    "update-failed": m.Update(
        node="entrance-3", boot="000007-9f3c2a11", time=TIME, release=5, pack=PACK, step="rolled-back", progress=1.0,
        reason="checking: scores is off by 0.2", failed="checking", starts=2,
    ),
    "receipts-refused": m.Receipt(ids=[], refused={ID: "image: does not match its hash"}),
}  # fmt: skip


def channel_of(name: str) -> str:
    return name.split("-")[0]


def path(name: str) -> Path:
    return VECTORS / f"{name}.{CHANNELS[channel_of(name)].encoding}"


def test_vectors__every_channel_has_one() -> None:
    assert set(CHANNELS) <= set(EXAMPLES)
    assert {channel_of(name) for name in EXAMPLES} == set(CHANNELS)
    assert {p.name for p in VECTORS.iterdir() if p.is_file()} == {path(name).name for name in EXAMPLES}


@pytest.mark.parametrize("name", EXAMPLES)
def test_vectors__writing(name: str) -> None:
    assert codec.encode(channel_of(name), EXAMPLES[name]) == path(name).read_bytes()


@pytest.mark.parametrize("name", EXAMPLES)
def test_vectors__reading(name: str) -> None:
    assert codec.decode(channel_of(name), path(name).read_bytes()) == EXAMPLES[name]


if __name__ == "__main__":
    VECTORS.mkdir(exist_ok=True)
    for name, example in EXAMPLES.items():
        if not path(name).exists():
            path(name).write_bytes(codec.encode(channel_of(name), example))
