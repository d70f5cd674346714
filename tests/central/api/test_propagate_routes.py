"""Propagating over HTTP."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import cv2
import numpy as np

from central.store.models import Annotation

World = Any
AT = datetime(2026, 1, 1, tzinfo=UTC)
CAR = {"box": [200.0, 100.0, 260.0, 140.0], "label": "car"}


def picture(x: int) -> bytes:
    """A rough street with a car at `x`."""
    random = np.random.default_rng(1)
    street = random.integers(0, 255, (18, 32, 3), np.uint8)
    image = cv2.GaussianBlur(cv2.resize(street, (640, 360), interpolation=cv2.INTER_CUBIC), (0, 0), 3)
    car = random.integers(0, 255, (8, 12, 3), np.uint8)
    image[100:140, x : x + 60] = cv2.resize(car, (60, 40), interpolation=cv2.INTER_NEAREST)
    return cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 95])[1].tobytes()


async def frames(world: World, seconds: float = 1.0, camera: str = "c1") -> tuple[str, str]:
    """Two frames of a moving car, the first one labelled."""
    first = await world.add_frame(1, captured_at=AT)
    last = await world.add_frame(2, captured_at=AT + timedelta(seconds=seconds), camera=camera)
    await world.centre.blobs.put([(f"frames/{f}.jpg", picture(x)) for f, x in ((first, 200), (last, 212))])
    async with world.client("annotator") as client:
        await client.put(f"/frames/{first}/labels", json={"revision": 0, "boxes": [CAR]})
    return first, last


async def test_propagate__proposals_that_can_be_confirmed(world: World) -> None:
    first, last = await frames(world)
    async with world.client("annotator") as client:
        moved = (await client.post(f"/frames/{last}/propagate", json={})).json()["boxes"]
        again = (await client.post(f"/frames/{last}/propagate", json={"from": first})).json()["boxes"]
        shown = (await client.get(f"/frames/{last}")).json()["boxes"]
        box = {"box": again[0]["box"], "label": "car", "origin": again[0]["id"]}
        view = (await client.put(f"/frames/{last}/labels", json={"revision": 0, "boxes": [box]})).json()
    assert [(b["source"], b["label"], b["confirmed"]) for b in moved] == [("track", "car", False)]
    assert abs(moved[0]["box"][0] - 212) < 3
    assert sum(b["source"] == "track" for b in shown) == 1
    assert (view["boxes"][0]["origin"], view["boxes"][0]["moved"]) == ("track", False)


async def test_propagate__what_is_proposed_already_stands_for_it(world: World) -> None:
    _, last = await frames(world)
    async with world.client("annotator") as client:
        one = (await client.post(f"/frames/{last}/propagate", json={})).json()["boxes"][0]
        async with world.centre.database.write() as session:
            session.add(Annotation(frame=last, x1=213, y1=100, x2=272, y2=141, label="car", source="pack", score=0.9))
        two = (await client.post(f"/frames/{last}/propagate", json={})).json()["boxes"]
    assert one["source"] == "track"
    assert [b["source"] for b in two] == ["pack"]


async def test_propagate__refused(world: World) -> None:
    first, last = await frames(world, seconds=3600.0)
    async with world.client("annotator") as client:
        far = await client.post(f"/frames/{last}/propagate", json={})
        none = await client.post(f"/frames/{first}/propagate", json={})
        missing = await client.post(f"/frames/{last}/propagate", json={"from": "nix"})
    assert [(x.status_code, x.json()["error"]["code"]) for x in (far, none, missing)] == [
        (409, "too_far"), (409, "no_previous"), (404, "not_found"),
    ]  # fmt: skip


async def test_propagate__needs_an_annotator(world: World) -> None:
    async with world.client("viewer") as client:
        assert (await client.post("/frames/x/propagate", json={})).status_code == 403
