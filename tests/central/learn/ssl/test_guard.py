"""What a camera's motion allows: refused where depth cannot be seen."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from benchmarks import ssl_planes
from central.learn.models import ModelConfig
from central.learn.ssl import PretextError, Shape, make
from central.learn.ssl.geometry import guard
from edge.street.camera import Street

SHAPE = Shape.of(ModelConfig(size="tiny", labels=("thing",), height=64, width=64), 64, 64)


def street(count: int = 3) -> list[list[Any]]:
    """Return clips of fixed synthetic cameras."""
    return [[Street(seed=s, width=320, height=192).render(t)[0] for t in (3.0, 3.1)] for s in range(count)]


def shaken(clips: list[list[Any]], seed: int = 0) -> list[list[Any]]:
    """Return `clips` whose later frames are shifted, turned and zoomed."""
    random, found = np.random.default_rng(seed), []
    for clip in clips:
        rest = []
        for frame in clip[1:]:
            height, width = frame.shape[:2]
            turn = cv2.getRotationMatrix2D((width / 2, height / 2), random.uniform(-2, 2), random.uniform(0.98, 1.02))
            turn[:, 2] = turn[:, 2] + random.uniform(3, 6, 2)
            rest.append(cv2.warpAffine(frame, turn, (width, height), borderMode=cv2.BORDER_REPLICATE))
        found.append([clip[0], *rest])
    return found


class Clips:
    """A material of nothing but clips."""

    def __init__(self, clips: list[list[Any]]) -> None:
        self.found = clips

    def clips(self, count: int, frames: int, pace: float) -> list[Any]:
        return self.found[:count]


@pytest.mark.parametrize(
    ("clips", "told"),
    [
        (street(), "stands still"),
        (shaken(street()), "only turns, zooms or shakes"),
        ([ssl_planes.drive(0, 192, 256, step=0, turn=0.02)], "only turns, zooms or shakes"),
        ([[np.zeros((64, 64, 3), np.uint8)] * 2], "stands still"),
        ([], "no video"),
    ],
    ids=["fixed", "shaken", "panned", "dark", "none"],
)
def test_check__refused_with_what_works(clips: list[list[Any]], told: str) -> None:
    with pytest.raises(PretextError, match=told) as raised:
        make("depth", SHAPE).check(Clips(clips))
    assert "\n" not in str(raised.value)
    assert not clips or "'egomotion'" in str(raised.value)


@pytest.mark.parametrize("turn", [0.0, 0.02], ids=["straight", "turning"])
def test_check__a_drive_is_taken(turn: float) -> None:
    make("depth", SHAPE).check(Clips([ssl_planes.drive(0, 192, 256, turn=turn)]))


def test_between__flow_of_a_known_shift() -> None:
    frame = cv2.cvtColor(ssl_planes.drive(0)[0], cv2.COLOR_BGR2GRAY)
    moved = guard.between(frame[:, :-4], frame[:, 4:])
    assert moved.flow == pytest.approx(4, abs=0.05) and moved.parallax < 0.05


@pytest.mark.parametrize("name", ["carpark", "corridor"])
def test_motion__real_fixed_cameras(shared_data: Path, name: str) -> None:
    film = cv2.VideoCapture(str(shared_data / "video" / f"{name}.mp4"))
    frames = [film.read()[1] for _ in range(60)]
    clips = [[frames[i], frames[i + 1]] for i in range(0, 58, 10)]
    assert guard.motion(clips).refusal is not None
    assert guard.motion(shaken(clips)).refusal is not None


def test_motion__real_motorway(shared_data: Path) -> None:
    folder = shared_data / "sequence" / "images"
    clips = [[cv2.imread(str(folder / f"in{i + k:06d}.jpg")) for k in (0, 3)] for i in range(1, 1100, 200)]
    assert guard.motion(clips).refusal is not None
