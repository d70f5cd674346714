"""Evaluation against figures worked out by hand, and against COCO's library."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cv2
import msgspec
import numpy as np
import pytest
import typer
from onnx import TensorProto, helper, numpy_helper
from typer.testing import CliRunner

from central.learn.detect import coco, evaluate, precision
from central.learn.detect.coco import Coco, CocoBox, CocoCategory, CocoImage, DatasetError
from central.learn.detect.evaluate import Prediction
from central.learn.detect.evaluate_command import evaluate_command
from edge.runtime import Detections, Inference
from protocols import pack as packing
from protocols.pack import Input, Manifest, Pack

EVERY = np.ones(1)


def image(number: int, camera: str = "") -> CocoImage:
    return CocoImage(number, f"{number}.png", 100, 80, camera)


def truth(boxes: Sequence[tuple[int, int, tuple[float, float, float, float]]], images: int = 1, **extra: Any) -> Coco:
    return Coco(
        [image(i, f"cam{i % 3}") for i in range(images)],
        [CocoCategory(1, "car"), CocoCategory(2, "bus")],
        [CocoBox(i, c, box, id=n, **extra) for n, (i, c, box) in enumerate(boxes)],
    )


def prediction(number: int, rows: Sequence[tuple[float, float, float, float, float, int]]) -> Prediction:
    array = np.array(rows, np.float64).reshape(-1, 6)
    return Prediction(image(number, f"cam{number % 3}"), array[:, :4], array[:, 4], array[:, 5].astype(np.int64))


def test_report__by_hand() -> None:
    """Two cars: the best detection hits one (IoU 1), the second is wrong, the third hits the other (IoU 0.8).

    Recall 0.5 at precision 1, recall 1 at precision 2/3. At IoU up to 0.8: (51 * 1 + 50 * 2/3) / 101; above: 51 / 101.
    """
    data = truth([(0, 1, (0, 0, 10, 10)), (0, 1, (50, 0, 10, 10))])
    found = [prediction(0, [(0, 0, 10, 10, 0.9, 1), (30, 30, 10, 10, 0.8, 1), (50, 0, 10, 8.001, 0.7, 1)])]
    report = evaluate.report(data, found)
    at50 = (51 + 50 * 2 / 3) / 101
    assert report.ap50 == pytest.approx(at50, abs=1e-6)
    assert report.ap == pytest.approx((7 * at50 + 3 * 51 / 101) / 10, abs=1e-6)
    assert report.ar == pytest.approx((7 * 1.0 + 3 * 0.5) / 10)
    assert report.classes["car"].ap == pytest.approx(report.ap)
    assert report.classes["bus"] == evaluate.ClassReport(None, None, 0)


def test_report__a_box_is_found_once() -> None:
    data = truth([(0, 1, (0, 0, 10, 10))])
    report = evaluate.report(data, [prediction(0, [(0, 0, 10, 10, 0.9, 1), (0, 0, 10, 10, 0.8, 1)])])
    assert report.ap50 == pytest.approx(1.0)
    matches = precision.collect([(np.array([[0, 0, 10, 10.0]] * 2), np.array([0.9, 0.8]))], [_boxes([0, 0, 10, 10])])
    assert matches.hit[0].tolist() == [True, False]


def _boxes(*rows: Sequence[float], crowd: bool = False) -> tuple[np.ndarray, np.ndarray]:
    return np.array(rows, np.float64).reshape(-1, 4), np.full(len(rows), crowd)


def test_report__wrong_class_is_a_miss() -> None:
    report = evaluate.report(truth([(0, 1, (0, 0, 10, 10))]), [prediction(0, [(0, 0, 10, 10, 0.9, 2)])])
    assert report.ap == 0.0


def test_report__crowds_absorb() -> None:
    data = truth([(0, 1, (0, 0, 10, 10))])
    data.annotations.append(CocoBox(0, 1, (40, 40, 40, 40), id=9, iscrowd=1))
    rows = [(45, 45, 10, 10, 0.95, 1), (60, 60, 10, 10, 0.94, 1), (0, 0, 10, 10, 0.5, 1)]
    report = evaluate.report(data, [prediction(0, rows)])
    assert report.ap50 == pytest.approx(1.0)
    assert report.classes["car"].ap50 == pytest.approx(1.0)
    assert report.boxes == 1


def test_report__by_size() -> None:
    data = truth([(0, 1, (0, 0, 10, 10)), (0, 1, (20, 0, 60, 60))])
    report = evaluate.report(data, [prediction(0, [(20, 0, 60, 60, 0.9, 1)])])
    assert report.ap_small == 0.0
    assert report.ap_medium == pytest.approx(1.0)
    assert report.ap_large is None


def world(seed: int, images: int = 12) -> tuple[Coco, list[Prediction]]:
    random = np.random.default_rng(seed)
    boxes, found = [], []
    for number in range(images):
        rows = []
        for _ in range(random.integers(0, 9)):
            box = (*random.uniform(0, 50, 2), *random.uniform(4, 40, 2))
            label = int(random.integers(1, 3))
            boxes.append((number, label, box))
            if random.random() < 0.7:
                moved = np.array(box) + random.normal(0, 2, 4)
                rows.append((*moved[:2], *np.abs(moved[2:]), random.random(), label))
        rows += [
            (*random.uniform(0, 50, 2), *random.uniform(4, 40, 2), random.random(), int(random.integers(1, 3)))
            for _ in range(5)
        ]
        found.append(prediction(number, rows))
    return truth(boxes, images), found


@pytest.mark.parametrize("seed", range(4))
def test_report__own_matching_agrees_with_coco(seed: int) -> None:
    data, found = world(seed)
    report = evaluate.report(data, found, resamples=5)
    classes = [entry for entry in report.classes.values() if entry.ap is not None]
    assert np.mean([entry.ap for entry in classes]) == pytest.approx(report.ap, abs=1e-9)
    assert np.mean([entry.ap50 for entry in classes]) == pytest.approx(report.ap50, abs=1e-9)


def test_precision__a_weight_is_that_many_copies() -> None:
    data, found = world(5, 4)
    boxes = data.by_image()
    times = [2, 0, 1, 3]
    copies = [n for n, count in enumerate(times) for _ in range(count)]
    weighted = precision.mean_precision([evaluate._of_class(c, found, boxes) for c in (1, 2)], np.array(times, float))
    copied = [evaluate._of_class(c, [found[n] for n in copies], boxes) for c in (1, 2)]
    plain = precision.mean_precision(copied, np.ones(len(copies)))
    assert weighted is not None and plain is not None
    np.testing.assert_allclose(weighted, plain, atol=1e-9)


def test_report__intervals_hold_the_figure_and_repeat() -> None:
    data, found = world(1)
    first, second = evaluate.report(data, found, seed=3), evaluate.report(data, found, seed=3)
    assert first == second
    assert first.resampled == "camera"
    low, high = first.intervals["ap"] or (1, 0)
    assert low < (first.ap or 0) < high


def test_report__one_camera_resamples_images() -> None:
    data, found = world(1)
    lone = [msgspec.structs.replace(p, image=msgspec.structs.replace(p.image, camera="only")) for p in found]
    report = evaluate.report(data, lone)
    assert report.resampled == "image"
    assert list(report.cameras) == ["only"]


def test_report__cameras() -> None:
    data = truth([(0, 1, (0, 0, 10, 10)), (1, 1, (0, 0, 10, 10))], 3)
    found = [prediction(0, [(0, 0, 10, 10, 0.9, 1)]), prediction(1, []), prediction(2, [])]
    cameras = evaluate.report(data, found).cameras
    assert cameras["cam0"].ap == pytest.approx(1.0)
    assert cameras["cam1"].ap == 0.0
    assert cameras["cam2"] == evaluate.CameraReport(None, None, 1, 0)


def test_report__nothing_found_at_all() -> None:
    report = evaluate.report(truth([(0, 1, (0, 0, 10, 10))]), [prediction(0, [])])
    assert (report.ap, report.ap50, report.ar) == (0.0, 0.0, 0.0)


class Painter:
    """A model that reports what is painted: the bounding box of pixels that are not black."""

    def __init__(self, *labels: str) -> None:
        self.labels = labels or ("car",)

    def infer(self, image: np.ndarray, threshold: float | None = None, every_class: bool = False) -> Inference:
        rows, columns = np.nonzero(image.max(axis=2))
        box = np.array([[columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]], np.float32)
        return Inference(Detections(box, np.array([0.9], np.float32), np.zeros(1, np.int64)))


Folder = Callable[..., tuple[Path, Path]]


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    """A function that writes images 0.png, 1.png ... with one painted car each, and their truth."""

    def write(count: int = 3, **changes: dict[int, Any]) -> tuple[Path, Path]:
        images, boxes = [], []
        for number in range(count):
            pixels = np.zeros((80, 100, 3), np.uint8)
            pixels[10:30, 20 + number : 60] = 255
            cv2.imwrite(str(tmp_path / f"{number}.png"), pixels)
            entry = {"id": number, "file_name": f"{number}.png", "width": 100, "height": 80}
            images.append(entry | changes.get("image", {}).get(number, {}))
            box = [20 + number, 10, 40 - number, 20]
            boxes.append({"id": number, "image_id": number, "category_id": 7, "bbox": box, "iscrowd": 0})
        path = tmp_path / "truth.json"
        categories = [{"id": 7, "name": "car"}]
        path.write_text(json.dumps({"images": images, "annotations": boxes, "categories": categories}))
        return tmp_path, path

    return write


def test_evaluate__perfect(folder: Folder) -> None:
    images, path = folder()
    seen: list[tuple[int, int]] = []
    report = evaluate.evaluate(Painter(), images, coco.read(path), progress=lambda *at: seen.append(at))
    assert report.ap == pytest.approx(1.0)
    assert report.images == 3
    assert seen == [(1, 3), (2, 3), (3, 3)]
    assert report.latency_ms is not None


def test_evaluate__only_labelled_images_count(folder: Folder) -> None:
    images, path = folder(image={1: {"labelled": False}, 2: {"labelled": True}})
    assert evaluate.evaluate(Painter(), images, coco.read(path)).images == 2


def test_evaluate__classes_that_the_pack_does_not_know(folder: Folder) -> None:
    images, path = folder()
    data = coco.read(path)
    data.categories.append(CocoCategory(9, "tram"))
    data.annotations.append(CocoBox(0, 9, (0.0, 0.0, 5.0, 5.0)))
    report = evaluate.evaluate(Painter("car", "boat"), images, data)
    assert report.missing_classes == ["tram"]
    assert report.ap == pytest.approx(0.5)


def test_evaluate__unreadable_images_are_named_and_left_out(folder: Folder) -> None:
    images, path = folder(4, image={3: {"width": 50}})
    (images / "0.png").write_bytes(b"not a png")
    (images / "1.png").unlink()
    report = evaluate.evaluate(Painter(), images, coco.read(path))
    assert report.images == 1
    assert report.skipped_images == 3
    assert [line.split(": ")[0] for line in report.skipped] == ["0.png", "1.png", "3.png"]
    assert report.ap == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("labels", "spoil", "message"),
    [
        (("boat",), lambda images: None, "the truth has none of these: car"),
        (("car",), lambda images: [f.unlink() for f in images.glob("*.png")], "none of the 3 images"),
    ],
)
def test_evaluate__nothing_to_evaluate(
    labels: tuple[str, ...], spoil: Callable[[Path], None], message: str, folder: Folder
) -> None:
    images, path = folder()
    spoil(images)
    with pytest.raises(DatasetError, match=message):
        evaluate.evaluate(Painter(*labels), images, coco.read(path))


def test_evaluate__nothing_labelled(folder: Folder) -> None:
    images, path = folder(1, image={0: {"labelled": False}})
    with pytest.raises(DatasetError, match="not labelled"):
        evaluate.evaluate(Painter(), images, coco.read(path))


GOOD: dict[str, Any] = {
    "images": [{"id": 1, "file_name": "a.jpg"}],
    "categories": [{"id": 1, "name": "car"}],
    "annotations": [{"id": 5, "image_id": 1, "category_id": 1, "bbox": [0, 0, 2, 2]}],
}


def _with(part: str, **changes: Any) -> dict[str, Any]:
    return GOOD | {part: [GOOD[part][0] | changes]}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (GOOD | {"images": []}, "lists no images"),
        (GOOD | {"images": GOOD["images"] * 2}, "there twice"),
        (GOOD | {"categories": [*GOOD["categories"], {"id": 2, "name": "car"}]}, "same name"),
        (_with("annotations", image_id=9), "annotation 5 is of image 9"),
        (_with("annotations", category_id=9), "annotation 5 is of class 9"),
        (_with("annotations", bbox=[0, 0, -1, 2]), "must be x, y, width, height"),
        (_with("annotations", bbox=[0, 0, 1]), "not a COCO file"),
        (_with("images", file_name="../../secret.jpg"), "leads out"),
        (_with("images", file_name="/secret.jpg"), "leads out"),
        ({"images": 3}, "not a COCO file"),
        ([], "not a COCO file"),
    ],
)
def test_read__refuses(content: object, message: str, tmp_path: Path) -> None:
    path = tmp_path / "truth.json"
    path.write_text(json.dumps(content))
    with pytest.raises(DatasetError, match=message):
        coco.read(path)


def test_read__not_there_or_not_json(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="No such file"):
        coco.read(tmp_path / "none.json")
    (tmp_path / "cut.json").write_text('{"images": [')
    with pytest.raises(DatasetError, match="not a COCO file"):
        coco.read(tmp_path / "cut.json")


@pytest.mark.parametrize(
    ("entry", "place"),
    [
        ({"camera": "north", "file_name": "x/1.jpg"}, "north"),
        ({"file_name": "south/1.jpg"}, "south"),
        ({"file_name": "1.jpg"}, ""),
    ],
)
def test_image__place(entry: dict[str, Any], place: str) -> None:
    assert msgspec.convert({"id": 1} | entry, CocoImage).place == place


@pytest.fixture
def app() -> typer.Typer:
    program = typer.Typer()
    program.command("evaluate")(evaluate_command)
    return program


def constant_pack(folder: Path) -> Pack:
    """A pack that sees one car where the images have it, whatever it is shown."""
    values = {"boxes": np.array([[20, 10, 60, 30]], np.float32), "scores": np.array([[0.9]], np.float32)}
    image = helper.make_tensor_value_info("image", TensorProto.UINT8, [1, 3, 80, 100])
    graph = helper.make_graph(
        [helper.make_node("Identity", [f"{name}_value"], [name]) for name in values],
        "constant",
        [image],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, value.shape) for name, value in values.items()],
        [numpy_helper.from_array(value, f"{name}_value") for name, value in values.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    about = Manifest(name="constant", labels=["car"], input=Input(height=80, width=100))
    return packing.create(folder, about, {packing.MODEL: model.SerializeToString()})


def test_command__json_on_the_last_line(app: typer.Typer, folder: Folder, tmp_path: Path) -> None:
    images, path = folder(2)
    (images / "1.png").write_bytes(b"broken")
    made = constant_pack(tmp_path / "pack")
    arguments = ["--pack", str(made.folder), "--images", str(images), "--coco", str(path), "--backend", "cpu"]
    result = CliRunner().invoke(app, [*arguments, "--json"])
    assert result.exit_code == 0, result.output
    outcome = json.loads(result.stdout.splitlines()[-1])
    assert outcome["pack"] == made.address
    assert outcome["ap"] == pytest.approx(1.0)
    assert {"ap50", "ar", "ap_small", "classes", "cameras", "intervals"} < set(outcome)
    assert "left out: 1.png: not a readable image" in result.stderr
    assert "constant on 1 images" in CliRunner().invoke(app, arguments).stdout


def test_command__bad_input_is_one_line(app: typer.Typer, folder: Folder, tmp_path: Path) -> None:
    images, path = folder()
    arguments = ["--pack", str(tmp_path / "none"), "--images", str(images), "--coco", str(path)]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr.count("\n") == 1
    assert "no such pack" in result.stderr


@pytest.mark.parametrize(("images", "truth_file"), [("nowhere", "truth.json"), (".", "nothing.json")])
def test_command__missing_files(images: str, truth_file: str, app: typer.Typer, folder: Folder, tmp_path: Path) -> None:
    folder()
    arguments = ["--pack", "base", "--images", str(tmp_path / images), "--coco", str(tmp_path / truth_file)]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 2
    assert result.stderr.count("\n") == 1
