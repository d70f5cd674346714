"""The tile model: learns an order, is exported as it is, and travels in a pack that old ones read."""

from __future__ import annotations

import io
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from central.learn.blur import packing, ranked, semi, tiles
from central.learn.blur.network import TileNetwork
from central.learn.blur.pairs import Comparison
from edge.runtime import packs
from edge.runtime.sharpness import tiles as looking
from edge.runtime.sharpness.learned import TOLERANCE, TileModel
from export.graph import ExportError
from protocols import blur
from protocols.pack import Pack


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> ranked.Ranked:
    """Tiles of noise that is sharp at many scales."""
    folder = tmp_path_factory.mktemp("images")
    random, paths = np.random.default_rng(0), []
    for index in range(4):
        image = np.zeros((300, 400), np.float32)
        for cell in (40, 12, 4, 1):
            small = random.random((300 // cell + 1, 400 // cell + 1)).astype(np.float32)
            image += cv2.resize(small, (400, 300), interpolation=cv2.INTER_NEAREST)
        paths.append(folder / f"{index}.png")
        cv2.imwrite(str(paths[-1]), (255 * image / image.max()).astype(np.uint8))
    return ranked.draw(paths, 40, 0)


def nobody() -> semi.Pairs:
    return tiles.from_people([])


def test_train__orders_blur(made: ranked.Ranked, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tiles, "PLACES", 12)
    network = tiles.train(made, nobody(), np.zeros((0, 1, 1), np.uint8), semi.Recipe(steps=25, rate=8e-3))
    with torch.no_grad():
        score = network(torch.from_numpy(made.tiles.reshape(-1, 1, 64, 64))).reshape(made.blur.shape)
    assert float((score[:, -1] > score[:, 0]).float().mean()) > 0.8
    assert float(score.std()) > 0.05, "the range of the sigmoid is used"


def test_train__learns_from_people_too(made: ranked.Ranked) -> None:
    """What people say turns the order of tiles that nothing else orders."""
    first, second = made.tiles[:, :1], made.tiles[:, -1:]
    people = semi.Pairs(second[:, 0][:, None], first[:, 0][:, None], np.ones(len(first), np.int64))
    network = semi.train(TileNetwork(), people, np.zeros((0, 1, 1), np.uint8), semi.Recipe(steps=25, pairs=12))
    with torch.no_grad():
        gap = network.logits(torch.from_numpy(people.second)) - network.logits(torch.from_numpy(people.first))
    assert float((gap > 0).float().mean()) > 0.8


def test_train__needs_a_pair() -> None:
    with pytest.raises(ValueError, match="no labelled pair"):
        semi.train(TileNetwork(), nobody(), np.zeros((0, 1, 1), np.uint8), semi.Recipe(steps=1))


def test_between__two_places_must_differ_more() -> None:
    within, across = tiles.between(torch.tensor([0.0, 0.1, 0.0, 1.0]), 2)
    assert within.nonzero().tolist() == [[1, 0], [3, 2]]
    assert across.nonzero().tolist() == [[3, 0], [3, 1]]


def test_from_people__unreadable_crops_are_left_out(tmp_path: Path) -> None:
    crop = tmp_path / "a.png"
    cv2.imwrite(str(crop), np.random.default_rng(0).integers(0, 256, (30, 90, 3)).astype(np.uint8))
    found = tiles.from_people([Comparison(crop, crop, "cant_tell"), Comparison(crop, tmp_path / "no.png", "left")])
    assert found.first.shape == (1, 1, looking.TILE, looking.TILE) and found.order.tolist() == [0]


@pytest.fixture
def base(tmp_path: Path) -> Pack:
    return packs.find("base", tmp_path / "packs")


@pytest.fixture(scope="module")
def fresh() -> dict[str, bytes]:
    """The files of an untrained tile model; an export takes seconds."""
    torch.manual_seed(0)
    return packing.contents(TileNetwork())


def test_add__the_pack_proves_its_tile_model(base: Pack, fresh: dict[str, bytes], tmp_path: Path) -> None:
    pack = packing.add(base, fresh, tmp_path / "new")
    model = TileModel(pack)
    assert model.gap() <= TOLERANCE
    for count in (1, 5, 33):
        blurs = model.session.run(np.zeros((count, 1, 64, 64), np.uint8))["blur"]
        assert blurs.shape == (count,)
    model.close()
    assert pack.manifest.files["model.onnx"] == base.manifest.files["model.onnx"], "the graph stays"
    assert set(packing.carried(pack, blur.FILES)) >= {blur.TILES, blur.TILES_PROOF}


def test_add__a_wrong_proof_is_refused(base: Pack, fresh: dict[str, bytes], tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with np.load(io.BytesIO(fresh[blur.TILES_PROOF]), allow_pickle=False) as proof:
        np.savez_compressed(buffer, allow_pickle=False, tiles=proof["tiles"], blur=proof["blur"] + 2 * TOLERANCE)
    with pytest.raises(ExportError, match="away from torch"):
        packing.add(base, fresh | {blur.TILES_PROOF: buffer.getvalue()}, tmp_path / "new")


def test_cost__each_part_is_normed_by_itself() -> None:
    """What else a step looks at does not change what a part costs."""
    random = np.random.default_rng(0)
    noise, soft = (torch.from_numpy(random.integers(0, top, (8, 1, 64, 64)).astype(np.uint8)) for top in (256, 20))
    one, other = (semi.Part(tiles, lambda scores: scores.square().sum()) for tiles in (noise, soft))
    network = TileNetwork().train()
    alone = [float(semi.cost(network, [part]).detach()) for part in (one, other)]
    assert float(semi.cost(network, [one, other]).detach()) == pytest.approx(sum(alone), rel=1e-4)
