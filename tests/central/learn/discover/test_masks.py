"""Outlines from boxes."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from central.learn.discover import masks
from central.learn.discover.evaluate import filled, mask_iou
from central.learn.discover.masks import MaskError, agrees, outlines, polygons
from central.learn.discover.trunk import Ours
from central.learn.models import ModelConfig
from central.learn.ssl import Trunk

BOX = np.array([[20, 20, 80, 80]], np.float32)


def disc() -> tuple[np.ndarray, np.ndarray]:
    """A red disc on grey noise, and its pixels."""
    image = np.random.default_rng(0).integers(90, 130, (100, 100, 3)).astype(np.uint8)
    true = np.zeros((100, 100), np.uint8)
    cv2.circle(true, (50, 50), 29, 1, -1)
    image[true > 0] = (30, 30, 210)
    return image, true > 0


def test_grabcut__follows_the_colour_inside_the_box() -> None:
    image, true = disc()
    found = masks.find("grabcut").open("", None).masks(image, BOX)[0]
    assert mask_iou(found, true) >= 0.85


@pytest.mark.parametrize("box", [[0, 0, 100, 100], [98, 98, 100, 100], [-5, -5, 3, 3], [40, 40, 41, 41]])
def test_grabcut__any_box_has_a_mask_within_it(box: list[float]) -> None:
    image, _ = disc()
    found = masks.find("grabcut").open("", None).masks(image, np.array([box], np.float32))[0]
    outside = np.ones((100, 100), bool)
    outside[max(0, int(box[1])) : int(box[3]) + 1, max(0, int(box[0])) : int(box[2]) + 1] = False
    assert found.shape == (100, 100)
    assert not (found & outside).any()


def test_activation__follows_it_too() -> None:
    image, true = disc()
    look = Ours(Trunk(ModelConfig(size="tiny", labels=("a",), height=64, width=64)), 64)
    found = masks.find("activation").open("", look).masks(image, BOX)[0]
    assert mask_iou(found, true) >= 0.7


def test_activation__needs_a_trunk() -> None:
    with pytest.raises(MaskError, match="trunk"):
        masks.find("activation").open("", None)


def test_polygons__and_back() -> None:
    _, true = disc()
    rings = polygons(true)
    assert len(rings) == 1 and len(rings[0]) < 80
    assert mask_iou(filled(rings, 100, 100), true) >= 0.95
    assert polygons(np.zeros((5, 5), bool)) == []


def test_agrees__a_mask_that_fills_its_box() -> None:
    _, true = disc()
    assert agrees(true, BOX[0])
    assert not agrees(true, np.array([0, 0, 100, 100], np.float32))
    assert not agrees(np.zeros((9, 9), bool), BOX[0])


def test_outlines__none_where_the_mask_does_not_fill_the_box() -> None:
    image, _ = disc()
    found = outlines(masks.find("grabcut").open("", None), image, [[20, 20, 80, 80]])
    assert len(found[0]) == 1
    assert outlines(masks.find("grabcut").open("", None), image, []) == []


@pytest.fixture
def segmenter(tmp_path: Path) -> Path:
    """The smallest SAM, with random weights, saved as a user would have it."""
    from transformers import SamConfig, SamMaskDecoderConfig, SamModel, SamPromptEncoderConfig, SamVisionConfig

    vision = SamVisionConfig(
        hidden_size=16, output_channels=8, num_hidden_layers=1, num_attention_heads=2, image_size=64, patch_size=16,
        mlp_dim=16, window_size=2, global_attn_indexes=[0], num_pos_feats=4,
    )  # fmt: skip
    prompt = SamPromptEncoderConfig(hidden_size=8, image_size=64, patch_size=16, mask_input_channels=4)
    decoder = SamMaskDecoderConfig(
        hidden_size=8, mlp_dim=8, num_hidden_layers=1, num_attention_heads=2, iou_head_hidden_dim=8,
    )  # fmt: skip
    config = SamConfig(vision_config=vision, prompt_encoder_config=prompt, mask_decoder_config=decoder)
    SamModel(config).save_pretrained(tmp_path / "sam")
    return tmp_path / "sam"


def test_sam__a_mask_for_each_box(segmenter: Path) -> None:
    image = disc()[0][:60]
    found = masks.find("sam").open(str(segmenter), None).masks(image, np.repeat(BOX, 3, 0))
    assert [m.shape for m in found] == [(60, 100)] * 3
    assert all(m.dtype == bool for m in found)


@pytest.mark.parametrize("model", ["", "/nowhere"])
def test_sam__needs_a_folder(model: str) -> None:
    with pytest.raises(MaskError, match="folder"):
        masks.find("sam").open(model, None)


def test_sam__another_kind_of_model(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    with pytest.raises(MaskError, match="bert"):
        masks.find("sam").open(str(tmp_path), None)
