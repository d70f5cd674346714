"""Measures of order: known values, groups, lists and pairs."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from central.cli import app
from central.learn.blur import calibrate, evaluate
from central.learn.blur.evaluate import BlurListError, agreement, plcc, read_list, size_of

RANK = np.arange(10, dtype=np.float64)


@pytest.mark.parametrize(
    ("blur", "srocc", "pairwise"), [(RANK, 1.0, 1.0), (-RANK, -1.0, 0.0), (RANK**3, 1.0, 1.0)]
)  # fmt: skip
def test_agreement__known_values(blur: np.ndarray, srocc: float, pairwise: float) -> None:
    found = agreement(blur, RANK)
    assert found["srocc"] == pytest.approx(srocc) and found["krocc"] == pytest.approx(srocc)
    assert found["pairwise"] == pytest.approx(pairwise) and found["count"] == 10


def test_agreement__ties_are_left_out() -> None:
    assert agreement(np.array([0.0, 1, 2]), np.array([0.0, 0, 1]))["pairwise"] == 1.0
    assert agreement(np.zeros(1), np.zeros(1))["pairwise"] is None


def test_plcc__is_taken_after_a_logistic_fit() -> None:
    score = np.linspace(-3, 3, 40)
    assert plcc(score, 5 / (1 + np.exp(-2 * score))) > 0.999 > float(np.corrcoef(score, np.tanh(score))[0, 1])


@pytest.mark.parametrize(("shape", "name"), [((40, 40, 3), "small"), ((64, 64), "medium"), ((720, 1280, 3), "large")])
def test_size_of__case(shape: tuple[int, ...], name: str) -> None:
    assert size_of(shape) == name


def folder(tmp_path: Path) -> Path:
    random = np.random.default_rng(0)
    lines = []
    for scene in range(3):
        sharp = random.integers(0, 256, (80, 80, 3)).astype(np.uint8)
        for rank, sigma in enumerate((0.0, 1.0, 3.0)):
            name = f"{scene}-{rank}.png"
            image = sharp if not sigma else cv2.GaussianBlur(sharp, (0, 0), sigma)
            cv2.imwrite(str(tmp_path / name), image)
            lines.append({"file": name, "rank": rank, "kind": "gaussian" if rank else "", "scene": f"s{scene}"})
    (tmp_path / "order.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    (tmp_path / "order.txt").write_text("0-0.png\n0-1.png\n0-2.png\n")
    (tmp_path / "crops").mkdir()
    for side, name in (("1-left", "0-0.png"), ("1-right", "0-2.png")):
        (tmp_path / "crops" / f"{side}.png").write_bytes((tmp_path / name).read_bytes())
    rows = [{"left": "1-left", "right": "1-right", "answer": answer} for answer in ("left", "cant_tell")]
    (tmp_path / "pairs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return tmp_path


def run(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["evaluate-blur", *arguments, "--method", "detail", "--json"])
    return result.exit_code, result.output.strip().splitlines()[-1]


def test_evaluate_blur__an_ordered_list(tmp_path: Path) -> None:
    code, last = run(str(folder(tmp_path) / "order.jsonl"))
    answer = json.loads(last)
    assert code == 0 and answer["srocc"] > 0.9 and answer["pairwise"] > 0.9
    assert answer["scenes"] == {"count": 3, "sharp_first": 3}
    assert set(answer["kinds"]) == {"gaussian"} and set(answer["sizes"]) == {"medium"}


def test_evaluate_blur__a_plain_list_is_sharpest_first(tmp_path: Path) -> None:
    assert json.loads(run(str(folder(tmp_path) / "order.txt"))[1])["pairwise"] == 1.0


def test_evaluate_blur__pairs(tmp_path: Path) -> None:
    answer = json.loads(run(str(folder(tmp_path)))[1])
    assert answer["pairwise"] == 1.0 and answer["count"] == 1 and answer["cant_tell"] == 1


@pytest.mark.parametrize("text", ["{}", '{"file": "a", "rank": "x"}', "[1"])
def test_read_list__names_the_line(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.jsonl").write_text(f"{text}\n" if text.startswith("{") else "")
    with pytest.raises(BlurListError, match=r"line 1|lists no picture"):
        read_list(tmp_path / "a.jsonl")


def test_judge_list__an_unreadable_picture_is_named(tmp_path: Path) -> None:
    with pytest.raises(BlurListError, match=r"no\.png"):
        evaluate.judge_list([evaluate.Ranked(tmp_path / "no.png", 0.0)], lambda image: 0.0)


def test_fitted__is_isotonic() -> None:
    random = np.random.default_rng(0)
    score = random.random(500)
    curve = calibrate.fitted(score, 80 * score + random.normal(0, 15, 500))
    assert curve.lost == sorted(curve.lost) and curve.score == sorted(curve.score)
    assert abs(curve.at(0.5) - 40) < 8 and curve.at(-1) == curve.lost[0] and curve.at(9) == curve.lost[-1]
    assert len(curve.score) <= calibrate.POINTS
