"""``wayside-export delta`` and ``apply``: files in, files out, one line for each mistake."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from typer.testing import CliRunner, Result

from export.cli import app
from export.half import halve
from protocols import delta, pack
from protocols.delta import model as model_delta
from protocols.delta.rounding import round_update
from protocols.pack import Input, Manifest, Pack

RANDOM = np.random.default_rng(2)
OLD = {"w": RANDOM.normal(0, 1, (64, 64)).astype(np.float32)}
NEW = round_update(OLD, {"w": OLD["w"] + RANDOM.normal(0, 0.01, (64, 64)).astype(np.float32)})


def made(folder: Path, tensors: dict[str, Any]) -> Pack:
    weights = [numpy_helper.from_array(value, name) for name, value in tensors.items()]
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 64]) for name in ("x", "y")]
    graph = helper.make_graph([helper.make_node("MatMul", ["x", "w"], ["y"])], "toy", ends[:1], ends[1:], weights)
    manifest = Manifest(name="toy", labels=["car"], input=Input(height=64, width=64))
    return pack.create(folder, manifest, {"model.onnx": helper.make_model(graph).SerializeToString()})


@pytest.fixture
def old(tmp_path: Path) -> Pack:
    return made(tmp_path / "old", OLD)


@pytest.fixture
def new(tmp_path: Path) -> Pack:
    return made(tmp_path / "new", NEW)


def call(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def last(result: Result) -> Any:
    return json.loads(result.stdout.splitlines()[-1])


@pytest.mark.parametrize("out", ["made.wpack", "made"])
def test_delta__and_back(old: Pack, new: Pack, tmp_path: Path, out: str) -> None:
    result = call("delta", old.folder, new.folder, "--out", tmp_path / "d.wdelta", "--json")
    assert result.exit_code == 0, result.output
    told = last(result)
    assert (told["old"], told["new"]) == (old.address, new.address)
    assert told["bytes"] == (tmp_path / "d.wdelta").stat().st_size < 0.2 * told["full"]
    result = call("apply", old.folder, tmp_path / "d.wdelta", "--out", tmp_path / out, "--json")
    assert result.exit_code == 0, result.output
    again = pack.open_pack(tmp_path / out, tmp_path / "packs")
    assert again.address == new.address == last(result)["pack"]
    assert pack.archive(again) == pack.archive(new)


def test_delta__no_smaller_than_the_pack(old: Pack, new: Pack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delta, "make", lambda old, new: pack.archive(new))
    result = call("delta", old.folder, new.folder, "--out", tmp_path / "d.wdelta", "--json")
    assert result.exit_code == 1 and not (tmp_path / "d.wdelta").exists()
    assert last(result)["path"] == ""


@pytest.mark.parametrize(
    ("old_name", "change", "said"),
    [
        ("new", "d.wdelta", "it is for pack"),
        ("old", "new.wpack", "not a delta"),
        ("old", "cut.wdelta", "not a whole delta"),
        ("old", "missing.wdelta", "No such file"),
        ("missing", "d.wdelta", "no such pack"),
    ],
)
def test_apply__mistakes(old: Pack, new: Pack, tmp_path: Path, old_name: str, change: str, said: str) -> None:
    data = delta.make(old, new)
    (tmp_path / "d.wdelta").write_bytes(data)
    (tmp_path / "cut.wdelta").write_bytes(data[: len(data) // 2])
    (tmp_path / "new.wpack").write_bytes(pack.archive(new))
    result = call("apply", tmp_path / old_name, tmp_path / change, "--out", tmp_path / "out.wpack")
    assert result.exit_code == 2 and not (tmp_path / "out.wpack").exists()
    assert len(result.stderr.strip().splitlines()) == 1 and said in result.stderr


def halved(folder: Path, tensors: dict[str, Any]) -> Pack:
    """Return a pack of `tensors` with the variant of half precision that the exporter makes."""
    plain_pack = made(folder / "plain", tensors)
    model = onnx.load(plain_pack.folder / "model.onnx")
    contents = {"model.onnx": model.SerializeToString(), "fp16.onnx": halve(model).SerializeToString()}
    variants = {"fp32": "model.onnx", "fp16": "fp16.onnx"}
    manifest = Manifest(name="toy", labels=["car"], input=Input(height=64, width=64), variants=variants)
    return pack.create(folder / "both", manifest, contents)


def test_delta__half_precision_is_made_of_the_full(tmp_path: Path) -> None:
    old, new = halved(tmp_path / "old", OLD), halved(tmp_path / "new", NEW)
    alone = delta.make(made(tmp_path / "o", OLD), made(tmp_path / "n", NEW))
    both = delta.make(old, new)
    assert delta.apply(old, both) == pack.archive(new)
    assert len(both) < len(alone) + 600  # names and kinds; its 4,096 values cost nothing


def test_delta__half_precision_that_is_not_the_full_ones_is_carried(tmp_path: Path) -> None:
    old, other = halved(tmp_path / "old", OLD), halved(tmp_path / "other", NEW)
    strange = onnx.load(other.folder / "fp16.onnx")
    odd = numpy_helper.to_array(strange.graph.initializer[-1]) + np.float16(0.5)
    strange.graph.initializer[-1].CopyFrom(numpy_helper.from_array(odd, strange.graph.initializer[-1].name))
    contents = {"model.onnx": (other.folder / "model.onnx").read_bytes(), "fp16.onnx": strange.SerializeToString()}
    new = pack.create(tmp_path / "new", other.manifest, contents)
    assert delta.apply(old, delta.make(old, new)) == pack.archive(new)


@pytest.mark.parametrize("main", [b"", b"no model"])
def test_apply__half_precision_without_the_full_is_refused(tmp_path: Path, main: bytes) -> None:
    old, new = halved(tmp_path / "old", OLD), halved(tmp_path / "new", NEW)
    before, after = ((p.folder / "fp16.onnx").read_bytes() for p in (old, new))
    found = model_delta.make(before, after, (new.folder / "model.onnx").read_bytes())
    assert found is not None
    with pytest.raises(delta.DeltaError, match="not in the main model"):
        model_delta.apply(before, found, len(after), main)
