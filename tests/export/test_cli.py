"""``wayside-export`` from outside: output, exit status, one line for each mistake."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner, Result

from edge.runtime import engines
from export.cli import app
from protocols import pack


def call(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def last(result: Result) -> Any:
    return json.loads(result.stdout.splitlines()[-1])


@pytest.fixture
def made(onnx_file: Callable[..., Path], tmp_path: Path) -> Path:
    out = tmp_path / "small.wpack"
    result = call(
        "import-onnx", onnx_file(), "--decoder", "fastestdet", "--labels", "person,car,bus",
        "--map", "car=car", "--out", out, "--json",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert last(result)["path"] == str(out)
    return out


def test_import__archive_opens(made: Path, tmp_path: Path) -> None:
    opened = pack.open_pack(made, tmp_path / "packs")
    assert opened.manifest.label_map == {"car": "car"}


def test_inspect__json(made: Path) -> None:
    result = call("inspect", made, "--json")
    assert result.exit_code == 0
    assert last(result)["variants"]["fp32"]["operators"]["Conv"] == 2


def test_inspect__table(made: Path) -> None:
    result = call("inspect", made)
    assert result.exit_code == 0
    assert "fastestdet" in result.stdout


def test_check__same(made: Path) -> None:
    result = call("check", made, "--backend", "cpu", "--json")
    assert result.exit_code == 0
    assert last(result)["ok"] is True


def test_check__not_the_same_exits_1(made: Path, tmp_path: Path) -> None:
    opened = pack.open_pack(made, tmp_path / "packs")
    with np.load(opened.path(pack.PARITY)) as stored:
        arrays = {name: stored[name] for name in stored.files}
    arrays["boxes_0"] = arrays["boxes_0"] + 5
    np.savez(tmp_path / "changed.npz", **arrays)
    contents = {name: opened.path(name).read_bytes() for name in opened.manifest.files}
    contents[pack.PARITY] = (tmp_path / "changed.npz").read_bytes()
    spoiled = pack.create(tmp_path / "spoiled", opened.manifest, contents)
    result = call("check", spoiled.folder, "--json")
    assert result.exit_code == 1
    assert last(result)["ok"] is False


def test_bench__against_itself(made: Path) -> None:
    result = call("bench", made, "--vs", made, "--runs", 3, "--json")
    assert result.exit_code == 0
    outcome = last(result)
    assert len(outcome["rows"]) == 2
    assert outcome["ratio"] > 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("build", "nowhere", "--out", "x.wpack"), "nowhere"),
        (("int8", "nowhere", "--images", ".", "--out", "x.wpack"), "nowhere: no such pack"),
        (("tensorrt", "nowhere"), "nowhere: no such pack"),
        (("check", "nowhere"), "nowhere: no such pack"),
        (("inspect", "nowhere"), "nowhere: no such pack"),
        (("bench", "nowhere"), "nowhere: no such pack"),
        (("import-onnx", "none.onnx", "--decoder", "fastestdet", "--out", "x.wpack"), "none.onnx: not readable"),
        (("import-onnx", "none.onnx", "--decoder", "abacus", "--out", "x.wpack"), "'abacus' is unknown"),
        (("import-onnx", "a", "--decoder", "fastestdet", "--map", "x", "--out", "x.wpack"), "theirs=ours"),
    ],
)
def test_mistake__one_line_and_2(arguments: tuple[str, ...], message: str) -> None:
    result = call(*arguments)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr.count("\n") == 1
    assert message in result.stderr


def test_check__backend_that_is_not_there(made: Path) -> None:
    result = call("check", made, "--backend", "abacus")
    assert result.exit_code == 2
    assert "'abacus' is unknown" in result.stderr


def test_int8__no_images(made: Path, tmp_path: Path) -> None:
    result = call("int8", made, "--images", tmp_path / "none", "--out", tmp_path / "q.wpack")
    assert result.exit_code == 2
    assert "none: not a folder" in result.stderr


def test_int8__adds_variants_that_check(made: Path, tmp_path: Path) -> None:
    for seed in range(2):
        cv2.imwrite(str(tmp_path / f"{seed}.png"), np.random.default_rng(seed).integers(0, 256, (64, 64, 3), np.uint8))
    result = call("int8", made, "--images", tmp_path, "--out", tmp_path / "q.wpack", "--json")
    assert result.exit_code == 0, result.output
    assert last(result)["variants"] == ["fp32", "int8", "int8-trt", "fp16"]
    assert call("check", tmp_path / "q.wpack").exit_code == 0


def test_tensorrt__not_installed(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "MODULES", ())
    result = call("tensorrt", made)
    assert result.exit_code == 2
    assert "TensorRT is not installed" in result.stderr


def test_truncated_pack__one_line_and_2(made: Path) -> None:
    made.write_bytes(made.read_bytes()[:-500])
    result = call("check", made)
    assert result.exit_code == 2
    assert "not a whole pack archive" in result.stderr


def test_help__has_an_example_for_every_command() -> None:
    for command in app.registered_commands:
        assert command.callback is not None
        assert "Example: wayside-export" in (command.callback.__doc__ or "")
