"""`train blur`, on the network of a run and on a pack."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import msgspec
import numpy as np
import onnx
import pytest
import torch
from typer.testing import CliRunner

from central.cli import app
from central.learn.blur import command, fit, tiles
from central.learn.models import ModelConfig, Network, build
from export import checkpoint
from export.run import AVERAGE, LAST
from protocols.blur import BLUR, TILES, decode
from protocols.pack import read_archive


@pytest.fixture(scope="module")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder, random = tmp_path_factory.mktemp("photographs"), np.random.default_rng(0)
    for index in range(3):
        image = np.zeros((240, 320, 3), np.float32)
        for cell in (40, 12, 4):
            small = random.random((240 // cell + 1, 320 // cell + 1, 3)).astype(np.float32)
            image += cv2.resize(small, (320, 240), interpolation=cv2.INTER_NEAREST)
        cv2.imwrite(str(folder / f"{index}.png"), (255 * image / image.max()).astype(np.uint8))
    return folder


def tiny() -> Network:
    torch.manual_seed(0)
    return build(ModelConfig(size="tiny", labels=("car",), tags=(), height=96, width=128))


def noise_left(image: np.ndarray) -> float:
    """A stand-in for the tile model."""
    return float(np.exp(-cv2.Laplacian(image, cv2.CV_32F).std() / 50))


def test_fit__only_the_blur_head_learns(photographs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fit, "KEPT", fit.GROUP)
    network = tiny()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    loss = fit.fit(network, command.image_paths([photographs]), noise_left, 4)
    moved = {name for name, tensor in network.state_dict().items() if not torch.equal(tensor, before[name])}
    assert np.isfinite(loss) and moved and all(name.startswith("blur.") for name in moved)


def run(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["train", "blur", *arguments])
    return result.exit_code, result.output


def test_train_blur__a_pack_gets_what_it_learns_and_keeps_the_rest(
    photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "PLACES", 30)
    monkeypatch.setattr(tiles, "PLACES", 4)
    out = tmp_path / "new.wpack"
    code, said = run("base", "--images", str(photographs), "--tile-steps", "2", "--out", str(out), "--json")
    assert code == 0, said
    answer = json.loads(said.strip().splitlines()[-1])
    _, manifest, data = read_archive(out)
    _, base, before = read_archive(Path(__file__).parents[4] / "central" / "zoo" / "base.wpack")
    assert answer["images"] == 3 and answer["steps"] == 2
    assert manifest.files["model.onnx"] == base.files["model.onnx"]
    assert manifest.files[TILES] != base.files[TILES]
    left = decode(data[BLUR])
    assert left.dense == decode(before[BLUR]).dense and left.tiles is None, "a curve is of the scores that were judged"


def test_train_blur__the_dense_head_of_a_pack(
    photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All but that head stays as it is, to the bit; and the pack proves itself."""
    monkeypatch.setattr(fit, "KEPT", fit.GROUP)
    out = tmp_path / "new.wpack"
    code, said = run("base", "--images", str(photographs), "--tile-steps", "0", "--steps", "2", "--out", str(out))
    assert code == 0, said
    weights = []
    for file in (out, Path(__file__).parents[4] / "central" / "zoo" / "base.wpack"):
        model = onnx.load_model_from_string(read_archive(file)[2]["model.onnx"])
        weights.append({t.name: t.raw_data for t in model.graph.initializer})
    moved = {name for name in weights[1] if weights[0][name] != weights[1][name]}
    assert moved and all(name.startswith("blur.") for name in moved)
    data = read_archive(out)[2]
    assert decode(data[BLUR]).dense is None, "a curve is of the scores that were judged"


def test_train_blur__a_run(photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its dense head learns, from the tile model of the base pack where the run has none; the rest stays."""
    monkeypatch.setattr(fit, "KEPT", fit.GROUP)
    network = tiny()
    state = network.state_dict()
    about: dict[str, object] = {"config": {"model": msgspec.to_builtins(network.config)}}
    tensors = {f"{prefix}{name}": tensor for name, tensor in state.items() for prefix in (AVERAGE, "network.")}
    checkpoint.write(tmp_path / LAST, tensors, about)
    code, said = run(str(tmp_path), "--images", str(photographs), "--tile-steps", "0", "--steps", "2", "--json")
    assert code == 0, said
    assert json.loads(said.strip().splitlines()[-1])["steps"] == 2
    after, _ = checkpoint.read(tmp_path / LAST)
    moved = {name for name, tensor in tensors.items() if not torch.equal(tensor, after[name])}
    assert moved and {name.split(".")[1] for name in moved} == {"blur"}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["base"], "--images"),
        (["base", "--images", "IMAGES"], "--out"),
        (["base", "--images", "EMPTY", "--out", "x.wpack"], "no images in it"),
        (["gone.wpack", "--images", "IMAGES", "--out", "x.wpack"], "no such pack"),
        (["base", "--images", "IMAGES", "--out", "x.wpack", "--loss", "guess"], "hinge"),
    ],
)  # fmt: skip
def test_train_blur__wrong_use_is_one_line(
    photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], words: str
) -> None:
    monkeypatch.setattr(command, "PLACES", 4)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    places = {"IMAGES": str(photographs), "EMPTY": str(tmp_path / "empty")}
    code, said = run(*(places.get(a, a) for a in arguments))
    assert code == 2 and words in said and "Traceback" not in said
