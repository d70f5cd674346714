"""A focus that goes over hours is told; day and night, and a lens that was cleaned, are not."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from edge.assess import focus, health
from edge.assess.focus import Focus, Small
from edge.assess.health import Health, Look, look
from edge.sources import Image, open_source

HOUR_S = 3600.0


def detail(share: float, light: float = 100.0) -> Small:
    return np.asarray(share * np.linspace(0.0, light / 10.0, 48).reshape(6, 8), np.float32)


def course(shares: list[float], light: float = 100.0, seen: Focus | None = None) -> list[bool]:
    """Whether the focus is lost after each of `shares`, a minute each."""
    seen = seen or Focus()
    return [bool(seen.see(detail(share, light), light, 60.0 * index)) for index, share in enumerate(shares)]


def test_focus__lost_slowly_and_found_again() -> None:
    away = [1.0 - 0.8 * index / 360 for index in range(360)]
    told = course([1.0] * 60 + away + [0.55] * 60 + [1.0] * 15)
    assert not any(told[:250]) and told[60 + 359]
    assert all(told[425:460]) and not told[-1]  # 0.55 is above where it is lost, and below where it is found


@pytest.mark.parametrize(
    "shares",
    [
        [1.0, 0.3, 1.0] * 100,  # a lorry for a minute, again and again
        [0.5] * 60 + [1.0] * 300,  # a dirty lens that was cleaned
        [1.0] * 15 + [0.3] * 3 + [1.0] * 60,
        [0.2 + 0.1 * (index % 2) for index in range(300)],
    ],
)
def test_focus__not_lost(shares: list[float]) -> None:
    assert not any(course(shares))


def test_focus__night_is_no_loss() -> None:
    seen, now, told = Focus(), 0.0, []
    for _ in range(3):
        for light, share in ((100.0, 1.0), (20.0, 0.2)):
            for _ in range(240):
                told.append(seen.see(detail(share), light, now))
                now += 60.0
    assert not any(told)


def test_focus__another_size_starts_afresh() -> None:
    seen = Focus()
    course([1.0] * 60, seen=seen)
    assert seen.see(np.full((3, 3), 0.1, np.float32), 100.0, 4000.0) == ""


def looks(frames: list[Image], levels: int, most: float) -> list[list[Look]]:
    """Return the looks at `frames` for each of `levels` of defocus, up to `most` pixels of a picture 640 across."""
    rows = []
    for level in range(levels):
        sigma = most * level / (levels - 1) * frames[0].shape[1] / 640
        rows.append([look(cv2.GaussianBlur(f, (0, 0), sigma) if sigma else f) for f in frames])  # type: ignore[arg-type]
    return rows


@pytest.mark.slow
@pytest.mark.parametrize("name", ["carpark.mp4", "corridor.mp4"])
@pytest.mark.parametrize("most", [0.0, 3.0])
def test_health__slow_defocus_of_a_real_camera(
    shared_data: Path, monkeypatch: pytest.MonkeyPatch, name: str, most: float
) -> None:
    """The recording over and over, twice a second for two hours, out of focus from the first to the last."""
    opened = open_source(str(shared_data / "video" / name), "c")
    frames = [frame.image for frame in opened.frames() if frame.index % 90 == 0]
    opened.close()
    levels = 12
    given = looks(frames, levels, most)
    monkeypatch.setattr(health, "look", lambda image, picture: given[int(image[0])][int(image[1])])
    seen, told, total = Health(), [], int(2 * HOUR_S / health.SAMPLE_S)
    for index in range(total):
        level = max(0, (index - total // 6) * levels * 6 // (5 * total))
        moment = np.array([level, index % len(frames)], np.uint8)
        told.append(set(seen.see(moment, index * health.SAMPLE_S)))
    assert set().union(*told) == ({"defocused"} if most else set())
    if most:
        assert told[-1] == {"defocused"} and not any(told[: total // 3])
        monkeypatch.setattr(focus, "LEARN_STEPS", total)  # without the slow course, nobody notices
        blind = Health()
        for index in range(total):
            level = max(0, (index - total // 6) * levels * 6 // (5 * total))
            moment = np.array([level, index % len(frames)], np.uint8)
            assert not blind.see(moment, index * health.SAMPLE_S)
