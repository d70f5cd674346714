"""Tags from files: what is present, absent and unknown; hiding; holding back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from central.learn.detect.coco import DatasetError
from central.learn.tags import data
from central.learn.tags.data import Tagged


def touch(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).write_bytes(b"")


def coco_file(folder: Path, **image: Any) -> Path:
    touch(folder, "1.jpg", "2.jpg")
    images = [{"id": 1, "file_name": "1.jpg", "width": 9, "height": 9, "camera": "gate", **image}]
    images.append({"id": 2, "file_name": "2.jpg", "width": 9, "height": 9})
    boxes = [{"image_id": 1, "category_id": 1, "bbox": [0, 0, 2, 2]}]
    text = {"images": images, "categories": [{"id": 1, "name": "car"}, {"id": 2, "name": "bus"}], "annotations": boxes}
    (folder / "t.json").write_text(json.dumps(text))
    return folder / "t.json"


def test_from_coco__boxes_completeness_and_tags(tmp_path: Path) -> None:
    path = coco_file(tmp_path, complete_for=["car"], tags={"rain": "present", "fog": "absent", "car": "unknown"})
    found = data.load(path, tmp_path)
    assert found.names == ("car", "bus", "rain", "fog") and found.groups == ("gate", "")
    assert found.labels.tolist() == [[1, 0, 1, -1], [-1, -1, 0, 0]]


def test_from_coco__tags_of_another_form_are_ignored(tmp_path: Path) -> None:
    assert data.load(coco_file(tmp_path, tags=["a", "b"]), tmp_path).names == ("car", "bus")


def test_from_table(tmp_path: Path) -> None:
    touch(tmp_path, "a.jpg", "b.jpg")
    (tmp_path / "t.csv").write_text("file,rain,night\na.jpg,1,?\nb.jpg,absent,\n")
    found = data.load(tmp_path / "t.csv", tmp_path)
    assert found.names == ("rain", "night") and found.labels.tolist() == [[1, 0], [-1, 0]]
    assert found.known == 0.5


def test_from_list__indices_are_those_of_coco(tmp_path: Path) -> None:
    touch(tmp_path, "a.jpg", "b.jpg")
    (tmp_path / "l.json").write_text('{"a.jpg": [2, 5], "b.jpg": []}')
    found = data.load(tmp_path / "l.json", tmp_path)
    assert len(found.names) == 80 and np.flatnonzero(found.labels[0] > 0).tolist() == [2, 5]
    assert (found.labels[1] == -1).all()


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("t.csv", "file\n", "no table"),
        ("t.csv", "file,a,a\nx,1,1\n", "names of their own"),
        ("t.csv", "file,a\nx.jpg,2\n", "line 2"),
        ("t.csv", "file,a\nx.jpg\n", "line 2"),
        ("t.csv", "file,a\nx.jpg,1\n", "no such image"),
        ("t.json", "{", "not a list"),
        ("t.json", '{"x.jpg": [80]}', "no tag"),
        ("t.json", '{"x.jpg": [true]}', "no tag"),
        ("t.json", "[1]", "not a list"),
        ("t.txt", "", "give a COCO file"),
    ],
)
def test_load__wrong_files_are_named(tmp_path: Path, name: str, text: str, says: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(DatasetError, match=says):
        data.load(tmp_path / name, tmp_path)


def test_hide__keeps_about_the_share_and_nothing_else() -> None:
    labels = np.ones((500, 4), np.int8)
    hidden = data.hide(labels, 0.1, 3)
    assert 0.07 < (hidden != 0).mean() < 0.13 and set(np.unique(hidden)) == {0, 1}
    assert np.array_equal(hidden, data.hide(labels, 0.1, 3)) and not np.array_equal(hidden, data.hide(labels, 0.1, 4))


def tagged(groups: tuple[str, ...]) -> Tagged:
    count = len(groups)
    return Tagged(("a",), tuple(Path(str(i)) for i in range(count)), np.ones((count, 1), np.int8), groups)


def test_held_back__whole_cameras_where_there_are_enough() -> None:
    own = tagged(tuple(f"camera{i // 10}" for i in range(60)))
    mask = data.held_back(own)
    assert mask.sum() == 10 and len({own.groups[i] for i in np.flatnonzero(mask)}) == 1


def test_held_back__a_share_of_the_images_otherwise() -> None:
    assert data.held_back(tagged(("one",) * 50)).sum() == 10


def test_join__unknown_where_a_part_does_not_speak_of_it() -> None:
    one = tagged(("x", "x"))
    other = Tagged(("b",), (Path("z"),), np.array([[-1]], np.int8), ("y",))
    found = data.join([one, other])
    assert found.names == ("a", "b") and found.labels.tolist() == [[1, 0], [1, 0], [0, -1]]
    assert found.groups == ("x", "x", "y")
