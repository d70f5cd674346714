"""Teachers of every kind, on tiny random weights; their preparation of images; the command."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
import typer.testing

from central.cli import app
from central.learn.data.coco import load
from central.learn.models import ModelConfig, build
from central.learn.models.detr import library
from central.learn.teachers import TeacherError, find, relabel, select, table
from central.learn.teachers.command import parse_names
from central.learn.teachers.hub import preparation
from central.learn.teachers.zero_shot import prompts
from edge.runtime import Detections
from export.build import Ingredients, noise_frames
from export.build import build as build_pack
from tests.central.learn.tiny import detr, scramble

OURS = ("person", "two_wheeler", "car")
THEIRS = ("bicycle", "car", "motorcycle")
MAP = {"bicycle": "two_wheeler", "motorcycle": "two_wheeler"}


@pytest.fixture
def image() -> np.ndarray[Any, np.dtype[np.uint8]]:
    return np.random.default_rng(1).integers(0, 256, (90, 130, 3)).astype(np.uint8)


def check(found: Detections, height: int = 90, width: int = 130) -> None:
    """Check that `found` lies in the image, names our labels, and is sorted."""
    assert len(found)
    assert bool((found.boxes >= 0).all()) and bool((found.boxes <= [width, height, width, height]).all())
    assert set(found.classes.tolist()) <= set(range(len(OURS)))
    assert found.scores.tolist() == sorted(found.scores.tolist(), reverse=True)


@pytest.mark.parametrize("kind", ["d_fine", "deimv2"])
def test_transformers__proposes_in_pixels_of_the_image(tmp_path: Path, image: Any, kind: str) -> None:
    detr(kind, THEIRS, tmp_path)
    (tmp_path / "preprocessor_config.json").write_text(json.dumps({"size": {"height": 64, "width": 64}}))
    found = find("transformers").open(str(tmp_path), OURS, MAP, 0.05).propose(image)
    check(found)
    assert 0 not in found.classes


def test_transformers__no_object_competes_where_a_class_is_left(tmp_path: Path, image: Any) -> None:
    hub = library()
    config = hub.AutoConfig.for_model(
        "yolos", hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16, image_size=[64, 64],
        num_detection_tokens=5, patch_size=16, id2label=dict(enumerate(THEIRS)),
        label2id={name: i for i, name in enumerate(THEIRS)},
    )  # fmt: skip
    scramble(hub.AutoModelForObjectDetection.from_config(config)).save_pretrained(tmp_path)
    (tmp_path / "preprocessor_config.json").write_text(json.dumps({"size": {"height": 64, "width": 64}}))
    found = find("transformers").open(str(tmp_path), OURS, MAP, 0.0).propose(image)
    check(found)
    assert len(found) == 5
    assert float(found.scores.max()) < 0.6


def tokenizer(folder: Path, words: tuple[str, ...]) -> Any:
    """Save a tokenizer that knows `words` and return it."""
    (folder / "vocab.txt").write_text("\n".join(("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", ".", *words)))
    made = library().BertTokenizer(vocab=str(folder / "vocab.txt"))
    made.save_pretrained(folder)
    return made


def test_zero_shot__owl_finds_words(tmp_path: Path, image: Any) -> None:
    hub = library()
    tokenizer(tmp_path, ("person", "two", "wheeler", "car"))
    small = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = hub.OwlViTConfig(
        text_config={**small, "vocab_size": 20, "max_position_embeddings": 16, "eos_token_id": 3, "pad_token_id": 0},
        vision_config={**small, "image_size": 64, "patch_size": 16}, projection_dim=16,
    )  # fmt: skip
    scramble(hub.OwlViTForObjectDetection(config)).save_pretrained(tmp_path)
    (tmp_path / "preprocessor_config.json").write_text(json.dumps({"size": {"height": 64, "width": 64}}))
    found = find("zero-shot").open(str(tmp_path), OURS, {}, 0.0).propose(image)
    check(found)
    assert len(found) == 16


def test_zero_shot__grounding_dino_finds_words(tmp_path: Path, image: Any) -> None:
    hub = library()
    tokenizer(tmp_path, ("person", "two", "wheeler", "car"))
    backbone = hub.SwinConfig(
        image_size=64, embed_dim=16, depths=[1, 1, 1, 1], num_heads=[1, 2, 2, 2], window_size=2,
        out_features=["stage2", "stage3", "stage4"], out_indices=[2, 3, 4],
    )  # fmt: skip
    text = {
        "model_type": "bert", "vocab_size": 20, "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2,
        "intermediate_size": 16, "max_position_embeddings": 64,
    }  # fmt: skip
    config = hub.GroundingDinoConfig(
        backbone_config=backbone, text_config=text, d_model=32, encoder_layers=1, decoder_layers=2, num_queries=12,
        encoder_attention_heads=2, decoder_attention_heads=2, encoder_ffn_dim=32, decoder_ffn_dim=32, max_text_len=32,
    )  # fmt: skip
    scramble(hub.GroundingDinoForObjectDetection(config)).save_pretrained(tmp_path)
    (tmp_path / "preprocessor_config.json").write_text(json.dumps({"size": {"shortest_edge": 64, "longest_edge": 96}}))
    found = find("zero-shot").open(str(tmp_path), OURS, {}, 0.0).propose(image)
    check(found)
    assert len(found) == 12


def pack(folder: Path, labels: tuple[str, ...]) -> Path:
    """Write an untrained pack of ours that finds something everywhere."""
    torch.manual_seed(0)
    config = ModelConfig(size="tiny", labels=labels, height=64, width=96, top_k=20)
    network = build(config)
    with torch.no_grad():
        for layer in network.detect.classes:
            assert isinstance(layer, torch.nn.Conv2d) and layer.bias is not None
            layer.bias.normal_()
    about = Ingredients(name="t", size="tiny", labels=labels, config={}, height=64, width=96)
    return build_pack(network, about, folder, noise_frames(1, 64, 96)).folder


def test_pack__its_classes_become_ours(tmp_path: Path, image: Any) -> None:
    found = find("pack").open(str(pack(tmp_path / "p", THEIRS)), OURS, MAP, 0.1).propose(image)
    check(found)
    assert 0 not in found.classes
    assert found.spread is not None


def test_annotate__writes_proposals_that_training_weighs(tmp_path: Path, image: Any) -> None:
    folder = tmp_path / "images" / "gate"
    folder.mkdir(parents=True)
    cv2.imwrite(str(folder / "a.png"), image)
    (folder / "b.jpg").write_bytes(b"no image")
    words = ["annotate", "--teacher", "pack", "--model", str(pack(tmp_path / "p", OURS)), "--json"]
    words += ["--threshold", "0.1"]
    words += ["--images", str(tmp_path / "images"), "--out", str(tmp_path / "out.json"), "--labels", ",".join(OURS)]
    result = typer.testing.CliRunner().invoke(app, words)
    told = json.loads(result.stdout.splitlines()[-1])
    example = load(tmp_path / "out.json", tmp_path / "images", OURS)[0]
    assert (result.exit_code, told["images"], told["skipped"]) == (0, 1, 1)
    assert len(example.boxes) == told["proposals"] > 0
    assert bool((example.weights < 1).all()) and bool((example.weights >= 0.1).all())
    assert not example.complete.any()


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--teacher", "nobody", "--model", "x"], "no 'nobody'; there are discover, pack, transformers, zero-shot"),
        (["--teacher", "pack", "--model", "nix"], "no such pack"),
        (["--teacher", "transformers", "--model", "./nix"], "cannot be opened"),
        (["--teacher", "zero-shot", "--model", "./nix"], "cannot be opened"),
        (["--teacher", "pack", "--model", "nix", "--map", "a"], "give THEIRS=OURS"),
    ],
)
def test_annotate__wrong_use(tmp_path: Path, words: list[str], says: str) -> None:
    given = ["annotate", *words, "--images", str(tmp_path), "--out", str(tmp_path / "o.json")]
    result = typer.testing.CliRunner().invoke(app, given)
    assert result.exit_code == 2
    assert says in result.stderr
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("names", "says"),
    [
        ({"zebra": "car"}, "no class 'zebra'"),
        ({"bicycle": "bike"}, "'bike' is not a label"),
        (None, "none of its classes"),
    ],
)
def test_table__what_cannot_be_mapped(names: dict[str, str] | None, says: str) -> None:
    theirs = list(THEIRS) if names is not None else ["dog"]
    with pytest.raises(TeacherError, match=says):
        table(theirs, OURS, names or {}, "m")


def test_relabel__the_best_of_several_counts() -> None:
    columns = table(list(THEIRS), OURS, MAP, "m")
    merged = relabel(np.array([[0.2, 0.3, 0.7]], np.float32), columns, len(OURS))
    assert columns.tolist() == [1, 2, 1]
    assert merged.tolist() == [pytest.approx([0.0, 0.7, 0.3])]


def test_select__leaves_out_what_is_not_finite() -> None:
    boxes = np.array([[0, 0, 1, 1], [0, 0, np.nan, 1], [0, 0, 2, 2]], np.float32)
    found = select(boxes, np.array([[0.4], [0.9], [0.8]], np.float32), 0.3)
    assert found.scores.tolist() == pytest.approx([0.8, 0.4])


@pytest.mark.parametrize(
    ("given", "size"),
    [
        ({"size": {"height": 64, "width": 80}}, (64, 80)),
        ({"size": {"shortest_edge": 60, "longest_edge": 1000}}, (60, 120)),
        ({"size": {"shortest_edge": 600, "longest_edge": 300}}, (150, 300)),
        ({"size": 50}, (50, 100)),
        ({}, (666, 1333)),
    ],
)
def test_preparation__size(given: dict[str, Any], size: tuple[int, int]) -> None:
    pixels, scale = preparation(given)(np.zeros((100, 200, 3), np.uint8))
    assert abs(pixels.shape[2] - size[0]) <= 1 and abs(pixels.shape[3] - size[1]) <= 1
    assert scale.tolist() == [200, 100, 200, 100]


def test_preparation__normalises_and_squares() -> None:
    told = {
        "size": {"height": 32, "width": 32}, "do_normalize": True, "image_mean": [0.5] * 3, "image_std": [0.25] * 3,
        "do_pad": True, "image_processor_type": "Owlv2ImageProcessor",
    }  # fmt: skip
    pixels, scale = preparation(told)(np.full((50, 100, 3), 255, np.uint8))
    assert scale.tolist() == [100, 100, 100, 100]
    assert float(pixels[0, 0, 0, 0]) == pytest.approx(2.0)
    assert float(pixels[0, 0, -1, 0]) == pytest.approx((128 / 255 - 0.5) / 0.25, abs=1e-4)


def test_prompts__labels_ask_for_their_own_names() -> None:
    assert prompts(OURS, {}) == {"person": 0, "two wheeler": 1, "car": 2}
    assert prompts(OURS, MAP) == {"bicycle": 1, "motorcycle": 1, "person": 0, "car": 2}


def test_parse_names__pairs() -> None:
    assert parse_names(["a=b", " c d = e"]) == {"a": "b", "c d": "e"}
