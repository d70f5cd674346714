"""Frames from folders, COCO files, videos and a centre; near-identical ones left out."""

from __future__ import annotations

import asyncio
import json
import math
import pickle
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest

from central.learn.ssl import duplicates, sources
from central.learn.ssl.material import MaterialError, joined
from tests.central.learn.labelled import fill
from tests.central.learn.ssl import streets


def test_folder__a_camera_per_sub_folder(tmp_path: Path) -> None:
    found = sources.folder(streets.write(tmp_path, frames=3))
    assert found.cameras == ("camera0", "camera1")
    assert [s.camera for s in found.shots] == [0, 0, 0, 1, 1, 1]
    assert all(math.isnan(s.time) for s in found.shots)


def test_folder__frames_in_a_row_have_times(tmp_path: Path) -> None:
    found = sources.folder(streets.write(tmp_path, frames=3), 10.0)
    assert [s.time for s in found.shots] == pytest.approx([0, 0.1, 0.2] * 2)


def test_coco__cameras_of_the_file_and_no_boxes(tmp_path: Path) -> None:
    streets.write(tmp_path, cameras=1, frames=2)
    images = [
        {"id": 1, "file_name": "camera0/000.png", "camera": "north"},
        {"id": 2, "file_name": "camera0/001.png", "camera": "south"},
    ]
    (tmp_path / "all.json").write_text(json.dumps({"images": images, "categories": []}))
    assert sources.coco(tmp_path / "all.json", tmp_path).cameras == ("north", "south")


def test_video__decoded_once_with_times(tmp_path: Path) -> None:
    path = tmp_path / "crossing.mp4"
    with av.open(str(path), "w") as file:
        stream = file.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = streets.WIDTH, streets.HEIGHT, "yuv420p"
        for place in range(5):
            picture = av.VideoFrame.from_ndarray(streets.frame(0, place), format="bgr24")
            file.mux(stream.encode(picture))
        file.mux(stream.encode())
    found = sources.video(path, tmp_path / "cache")
    assert found.cameras == ("crossing",)
    assert [s.time for s in found.shots] == pytest.approx([0, 0.1, 0.2, 0.3, 0.4], abs=0.02)
    shown = found.read(2)
    assert shown is not None and shown.shape == (streets.HEIGHT, streets.WIDTH, 3)
    before = (tmp_path / "cache" / "crossing" / "0000000.jpg").stat().st_mtime_ns
    sources.video(path, tmp_path / "cache")
    assert (tmp_path / "cache" / "crossing" / "0000000.jpg").stat().st_mtime_ns == before


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda p: sources.folder(p / "nothing"), "no pictures in it"),
        (lambda p: sources.video(p / "none.mp4", p), "not a readable video"),
        (lambda p: joined([]), "no frame to learn from"),
        (lambda p: sources.pairs(streets.write(p / "l"), streets.write(p / "r", 0), 1.0, 0.5), "has the name of one"),
    ],
)
def test_sources__say_what_is_wrong(tmp_path: Path, make: object, says: str) -> None:
    with pytest.raises(MaterialError, match=says):
        make(tmp_path)  # type: ignore[operator]


def test_joined__numbers_readers_and_cameras_anew(tmp_path: Path) -> None:
    one, two = sources.folder(streets.write(tmp_path / "a", 1, 2)), sources.folder(streets.write(tmp_path / "b", 2, 2))
    both = joined([one, two])
    assert both.cameras == ("camera0", "camera1")
    assert [(s.reader, s.camera) for s in both.shots] == [(0, 0), (0, 0), (1, 0), (1, 0), (1, 1), (1, 1)]


def test_duplicates__same_scene_kept_once(tmp_path: Path) -> None:
    streets.write(tmp_path, cameras=1, frames=3)
    noisy = streets.frame(0, 0).astype(int) + np.random.default_rng(0).integers(-6, 7, (96, 128, 3))
    cv2.imwrite(str(tmp_path / "camera0" / "003.png"), noisy.clip(0, 255).astype(np.uint8))
    found = duplicates.without(sources.folder(tmp_path))
    assert found.kept.tolist() == [0, 1, 2] and found.dropped == 1


def test_duplicates__same_picture_of_two_cameras_kept_twice(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        cv2.imwrite(str(tmp_path / name / "0.png"), streets.frame(0, 0))
    assert len(duplicates.without(sources.folder(tmp_path)).kept) == 2


def test_duplicates__damaged_files_are_counted(tmp_path: Path) -> None:
    streets.write(tmp_path, cameras=1, frames=2)
    (tmp_path / "camera0" / "zzz.jpg").write_bytes(b"no picture")
    found = duplicates.without(sources.folder(tmp_path))
    assert found.unread == (2,) and found.about()["unread"] == 1
    (tmp_path / "only").mkdir()
    (tmp_path / "only" / "x.jpg").write_bytes(b"")
    with pytest.raises(MaterialError, match="none of the 1 frames can be read"):
        duplicates.without(sources.folder(tmp_path / "only"))


@pytest.mark.parametrize(
    ("pace", "wanted"), [(0.0, [2, 3, 4]), (0.2, [2, 4, 6]), (0.5, [2, 7, 12]), (1.0, None), (9.0, None)]
)
def test_sequence__at_a_pace(tmp_path: Path, pace: float, wanted: list[int] | None) -> None:
    assert streets.stock(tmp_path, 1).sequence(2, 3, pace) == wanted


def test_clips__in_the_order_of_time(tmp_path: Path) -> None:
    clips = streets.stock(tmp_path).clips(3, 4, 0.1)
    assert len(clips) == 3 and all(len(clip) == 4 for clip in clips)
    assert not streets.stock(tmp_path).clips(3, 40, 0.1)


def test_centre__frames_by_camera_and_time_read_when_needed(tmp_path: Path, shapes: Any) -> None:
    made = asyncio.run(fill(tmp_path, shapes(4)))
    found = duplicates.without(sources.centre(tmp_path))
    assert found.cameras == ("n1/c1",) and len(found.shots) == len(made)
    times = [shot.time for shot in found.shots]
    assert times == sorted(times) and times[0] == 0
    reader = pickle.loads(pickle.dumps(found)).readers[0]  # noqa: S301 (as it goes to a worker)
    image = reader.read(found.shots[0].key)
    assert image is not None and image.shape == (64, 64, 3)
    assert reader.read("frames/gone.jpg") is None


def test_centre__without_frames(tmp_path: Path) -> None:
    asyncio.run(fill(tmp_path, []))
    with pytest.raises(MaterialError, match="has stored no frame yet"):
        sources.centre(tmp_path)
