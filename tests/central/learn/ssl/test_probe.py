"""kNN of frozen features."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from central.learn.ssl import Trunk, probe
from central.learn.ssl.material import MaterialError
from tests.central.learn.ssl import streets


def crops(groups: int) -> probe.Crops:
    labels = np.tile([0, 1], 30)
    return probe.Crops(np.zeros((60, 64, 64, 3), np.uint8), labels, np.arange(60) % groups, ("a", "b"))


def test_knn__right_for_what_is_apart_and_chance_for_noise() -> None:
    random = np.random.default_rng(0)
    given = crops(3)
    apart = random.normal(0, 0.1, (60, 4)) + 5 * given.labels[:, None]
    assert probe.knn(apart.astype(np.float32), given) == 1.0
    assert 0.2 < probe.knn(random.normal(0, 1, (60, 4)).astype(np.float32), given) < 0.8


def test_knn__never_judged_by_its_own_camera() -> None:
    given = crops(3)
    points = np.eye(3, dtype=np.float32)[given.groups] * 9 + np.eye(2, 3, dtype=np.float32)[given.labels] * 0
    wrong = probe.Crops(given.images, (given.groups > 0).astype(np.int64), given.groups, given.names)
    assert probe.knn(points, wrong) < 0.6  # the camera says the class, and does not help


def test_knn__a_class_of_few_objects_is_not_outvoted() -> None:
    random = np.random.default_rng(0)
    labels = (np.arange(120) % 10 == 0).astype(np.int64)  # every tenth is rare
    given = probe.Crops(np.zeros((120, 64, 64, 3), np.uint8), labels, np.arange(120) // 10 % 3, ("a", "b"))
    points = (random.normal(0, 1, (120, 4)) + np.array([1.5, 1.5, 0, 0]) * labels[:, None]).astype(np.float32)
    assert probe.knn(points, given) > 0.8 and probe.majority(points, given) < 0.65
    noise = random.normal(0, 1, points.shape).astype(np.float32)
    assert probe.knn(noise, given) < 0.75 < probe.knn(noise, given, balanced=False)  # the common class, again and again


def test_from_coco__crops_by_camera(tmp_path: Path) -> None:
    streets.write(tmp_path, frames=2)
    images = [{"id": i, "file_name": f"camera{i}/000.png"} for i in range(2)]
    boxes = [{"id": i, "image_id": i, "category_id": 1, "bbox": [3, 30, 22, 20]} for i in range(2)]
    boxes.append({"id": 9, "image_id": 0, "category_id": 1, "bbox": [0, 0, 4, 4]})
    truth = {"images": images, "annotations": boxes, "categories": [{"id": 1, "name": "car"}]}
    (tmp_path / "t.json").write_text(json.dumps(truth))
    found = probe.parse(f"{tmp_path}/t.json:{tmp_path}")
    assert found.images.shape == (2, 96, 96, 3) and found.groups.tolist() == [0, 1]
    assert found.images[0, 48, 48].argmax() == 2 and found.images[1, 48, 48].argmax() == 0
    assert set(probe.probe(Trunk(streets.config().model), found)) == {"knn", "knn_all"}


def test_from_folders__train_judges_val(tmp_path: Path) -> None:
    for part in ("train", "val"):
        for name, shade in (("dark", 20), ("light", 220)):
            (tmp_path / part / name).mkdir(parents=True)
            for i in range(12):
                cv2.imwrite(str(tmp_path / part / name / f"{i}.png"), np.full((32, 32, 3), shade + i, np.uint8))
    found = probe.parse(str(tmp_path))
    assert probe.knn(found.images.reshape(len(found.images), -1)[:, ::97].astype(np.float32), found) == 1.0
    with pytest.raises(MaterialError, match="train/CLASS and val/CLASS"):
        probe.parse(str(tmp_path / "train"))
