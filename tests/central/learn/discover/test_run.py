"""A run from tags to targets, and what others make of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from central import cli
from central.learn.data import Example
from central.learn.data.coco import load
from central.learn.data.dataset import read_image
from central.learn.discover import classify, complete
from central.learn.discover.classify import ClassifyConfig, known_loss, pooled
from central.learn.discover.features import cached
from central.learn.discover.proposals import Kit, several
from central.learn.discover.trunk import Ours, describe, open_trunk
from central.learn.models import ModelConfig
from central.learn.ssl import Trunk
from central.learn.start import StartError
from central.learn.teachers import TeacherError
from central.learn.teachers import find as find_teacher
from export import checkpoint
from tests.central.learn.conftest import LABELS

Shapes = Callable[[int], list[Example]]


def truth(examples: list[Example], path: Path) -> Path:
    """Write the COCO file of `examples`."""
    images: list[dict[str, Any]] = []
    boxes: list[dict[str, Any]] = []
    for number, example in enumerate(examples):
        images.append({"id": number, "file_name": example.path.name, "width": 64, "height": 64})
        for (x1, y1, x2, y2), label in zip(example.boxes.tolist(), example.classes.tolist(), strict=True):
            ring = [x1, y1, x2, y1, x2, y2, x1, y2]
            boxes.append(
                {"id": len(boxes) + 1, "image_id": number, "category_id": label + 1, "iscrowd": 0,
                 "bbox": [x1, y1, x2 - x1, y2 - y1], "area": (x2 - x1) * (y2 - y1), "segmentation": [ring]}
            )  # fmt: skip
    categories = [{"id": i + 1, "name": name} for i, name in enumerate(LABELS)]
    path.write_text(json.dumps({"images": images, "annotations": boxes, "categories": categories}))
    return path


def call(*words: object) -> dict[str, object]:
    """Run the command and return its answer."""
    found = CliRunner().invoke(cli.app, [str(w) for w in words])
    assert found.exit_code == 0, found.output
    answer: dict[str, object] = json.loads(found.stdout.splitlines()[-1])
    return answer


def test_train_discover__from_tags_to_targets(shapes: Shapes, tmp_path: Path) -> None:
    made = shapes(24)
    file, images = truth(made, tmp_path / "truth.json"), made[0].path.parent
    table = tmp_path / "tags.csv"
    above = images.parent
    rows = [f"{images.name}/{e.path.name},{','.join('1' if c in e.classes else '0' for c in range(2))}" for e in made]
    table.write_text("\n".join([f"file,{','.join(LABELS)}", *rows]))
    out = tmp_path / "run"
    plain = ("--side", 64, "--size", "tiny", "--trunk-epochs", 2, "--epochs", 4, "--limit", 60, "--json")
    answer = call("train", "discover", "--train", f"{table}:{above}", "--out", out, "--masks", "grabcut", *plain)
    assert answer["images"] == 24 and int(str(answer["boxes"])) >= 24
    assert int(str(answer["outlines"])) > 0

    assert answer["images_folder"] == str(above), "what goes with the tags goes with the targets"
    found = load(out / "targets.json", above, LABELS)
    assert all(0 < w <= 1 for e in found for w in e.weights)
    for example, true in zip(found, made, strict=True):
        assert set(example.classes.tolist()) == set(true.classes.tolist())
        assert [LABELS[i] for i in np.flatnonzero(example.complete)] == [
            LABELS[c] for c in range(2) if c not in true.classes
        ]

    judged = call(
        "evaluate-discovery", "--run", out, "--images", images, "--coco", file, "--masks", "grabcut", "--json"
    )
    assert float(str(judged["corloc"])) >= 0.4
    assert float(str(judged["mask_iou"])) >= 0.7

    teacher = find_teacher("discover").open(str(out), (*LABELS, "other"), {}, 0.05)
    image = read_image(str(made[0].path))
    assert image is not None
    seen = teacher.propose(image)
    assert teacher.sees == {0, 1}
    assert len(seen.boxes) and set(seen.classes.tolist()) <= {0, 1}

    given = ("--train", f"{table}:{above}", "--boxes", f"{file}:{images}")
    more = call("train", "discover", *given, "--out", out, *plain)
    assert more["drawn"] == 24

    clicks = tmp_path / "clicks.json"
    middle = ((made[0].boxes[0, :2] + made[0].boxes[0, 2:]) / 2).tolist()
    clicks.write_text(json.dumps({made[0].path.name: [[LABELS[made[0].classes[0]], *middle]]}))
    given = ("--train", f"{table}:{above}", "--clicks", f"{clicks}:{images}", "--fixed", "--tracks", "on")
    again = call("train", "discover", *given, "--out", out, *plain)
    assert (again["clicked"], again["tracked"], again["drawn"]) == (1, 24, 0)
    assert call("train", "discover", *given[:-1], "off", "--out", out, *plain)["tracked"] == 0


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ([], "no image with a tag"),
        (["--train", "nowhere.json:images"], "nowhere.json"),
        (["--propose", "--train", "a:b"], "--data"),
        (["--tracks", "perhaps", "--train", "a:b"], "choose auto, on or off"),
    ],
)
def test_train_discover__wrong_use(words: list[str], says: str, tmp_path: Path) -> None:
    found = CliRunner().invoke(cli.app, ["train", "discover", "--out", str(tmp_path / "run"), *words])
    assert found.exit_code == 2
    assert says in found.stderr
    assert found.stderr.count("\n") == 1


def test_teacher__a_folder_that_is_no_run(tmp_path: Path) -> None:
    with pytest.raises(TeacherError, match=r"heads\.safetensors"):
        find_teacher("discover").open(str(tmp_path), LABELS, {}, 0.1)


def test_known_loss__unknown_tags_contribute_nothing() -> None:
    logits = torch.tensor([[3.0, -9.0]], requires_grad=True)
    known_loss(logits, torch.tensor([[1.0, 0.0]])).backward()  # type: ignore[no-untyped-call]
    assert logits.grad is not None
    assert logits.grad[0, 1] == 0 and logits.grad[0, 0] != 0


def test_pooled__lies_between_mean_and_maximum() -> None:
    maps = torch.randn(2, 3, 5, 7)
    found = pooled(maps)
    assert bool((found >= maps.mean((2, 3)) - 1e-5).all())
    assert bool((found <= maps.amax((2, 3)) + 1e-5).all())


def test_classify__needs_known_tags(shapes: Shapes) -> None:
    made = shapes(3)
    with pytest.raises(ValueError, match="known tag"):
        classify.train(ClassifyConfig(size="tiny", side=64), [e.path for e in made], np.zeros((3, 2), np.int8))


def test_features__kept_until_something_changes(shapes: Shapes, tmp_path: Path) -> None:
    made = shapes(3)
    torch.manual_seed(0)
    look = Ours(Trunk(ModelConfig(size="tiny", labels=("a",), height=64, width=64)), 64)
    finder, paths = several(["windows"], Kit(), 30), [e.path for e in made]
    calls: list[int] = []
    first = cached(look, finder, paths, [""] * 3, tmp_path / "f", calls.append)
    again = cached(look, finder, paths, [""] * 3, tmp_path / "f", calls.append)
    assert len(calls) == 1
    assert np.array_equal(first.features, again.features)
    cached(look, several(["windows"], Kit(), 29), paths, [""] * 3, tmp_path / "f", calls.append)
    assert len(calls) == 2


def test_features__unreadable_images_have_no_boxes(shapes: Shapes, tmp_path: Path) -> None:
    made = shapes(2)
    (tmp_path / "bad.jpg").write_bytes(b"no image")
    look = Ours(Trunk(ModelConfig(size="tiny", labels=("a",), height=64, width=64)), 64)
    paths = [made[0].path, tmp_path / "bad.jpg", made[1].path]
    found = cached(look, several(["windows"], Kit(), 20), paths, [""] * 3, tmp_path / "f")
    assert found.unread.tolist() == [1]
    assert [len(found[i].boxes) for i in range(3)] == [20, 0, 20]


def test_describe__a_box_and_its_surroundings() -> None:
    look = Ours(Trunk(ModelConfig(size="tiny", labels=("a",), height=64, width=64)), 64)
    seen = look(np.zeros((48, 64, 3), np.uint8))
    found = describe(seen, np.array([[0, 0, 64, 48], [10, 10, 20, 20]], np.float32))
    assert found.features.shape[0] == 2 and bool(torch.isfinite(found.features).all())
    assert found.activations.shape == (2, 2, 0)


def test_open_trunk__weights_of_a_run_of_self_supervision(tmp_path: Path) -> None:
    trunk = Trunk(ModelConfig(size="tiny", labels=("a",), height=64, width=64))
    checkpoint.write(tmp_path / "ssl.safetensors", trunk.state_dict(), {})
    found = open_trunk(str(tmp_path / "ssl.safetensors"), 64)
    assert found.tags == ()
    checkpoint.write(tmp_path / "none.safetensors", {"x": torch.zeros(1)}, {})
    with pytest.raises(StartError, match="backbone"):
        open_trunk(str(tmp_path / "none.safetensors"), 64)


def test_open_trunk__a_vision_transformer(tmp_path: Path) -> None:
    from transformers import ViTConfig, ViTModel

    ViTModel(
        ViTConfig(hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16, image_size=32,
                  patch_size=16)
    ).save_pretrained(tmp_path / "vit")  # fmt: skip
    look = open_trunk(str(tmp_path / "vit"))
    seen = look(np.zeros((40, 60, 3), np.uint8))
    assert seen.scene[0].shape == (16, 14, 14)
    assert len(describe(seen, np.array([[0, 0, 20, 20]], np.float32)).features) == 1


def test_complete__known_tags_stay() -> None:
    random = np.random.default_rng(0)
    labels = random.choice(np.array([1, -1], np.int8), (60, 3))
    maps = np.zeros((60, 3, 2, 2), np.float16)
    maps += labels[:, :, None, None].astype(np.float16)
    hidden = np.where(random.random(labels.shape) < 0.5, labels, 0).astype(np.int8)
    filled, sure = complete.complete(maps, hidden, ("a", "b", "c"), "masked_bce")
    assert (filled[hidden != 0] == hidden[hidden != 0]).all()
    assert (sure[hidden != 0] == 1).all()
    new = (hidden == 0) & (filled != 0)
    assert new.any() and (filled[new] == labels[new]).mean() >= 0.9
