"""How well blur is ordered: learned from few pairs, from many made ones, and by the measures of the literature.

    python -m benchmarks.blur [--images DIR ...] [--seeds 3] [--steps 300] [--only few,many,checks] [--json]

`methods.NAME` has `srocc` and `pairwise` (means over seeds) with `mean`, `std` and `seeds`, on 600 crops of photographs
that nothing was learned from, blurred by known amounts and seen with noise and JPEG: `few-*` learned from 150 pairs of
80 crops (and 800 unlabelled ones), `many` from pairs made of `--places` places, `base` is the pack that ships. `checks`
are monotony, texture, use for a detector, and time.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks import blur_checks
from benchmarks.blur_data import JUDGED, LABELLED, PAIRS, UNLABELLED, Crops, compared, crops, split
from benchmarks.common import DATA, main, opened, parser, say
from central.learn.blur import ranked, semi, tiles
from central.learn.blur.evaluate import agreement, by_group
from central.learn.blur.network import TileNetwork
from edge.runtime.sharpness import methods
from edge.runtime.sharpness.learned import TileModel

FEW = {
    "few-supervised": semi.Recipe(loss="hinge", consistency=0, anchor=0),
    "few-anchor": semi.Recipe(loss="hinge", consistency=0, anchor=1),
    "few-qrc": semi.Recipe(loss="hinge", consistency=1, anchor=0),
    "few-qrc-anchor": semi.Recipe(loss="hinge", consistency=1, anchor=1),
}
MANY = {"many": "ranknet", "many-hinge": "hinge", "many-fidelity": "fidelity"}
NOBODY = semi.Pairs(*(np.zeros((0, 1, 64, 64), np.uint8),) * 2, np.zeros(0, np.int64))

Blur = NDArray[np.float64]


def by_network(network: TileNetwork, judged: Crops) -> Blur:
    """Return the blur of `judged` by `network`."""
    with torch.no_grad():
        return np.asarray(network.eval()(torch.from_numpy(judged.tiles())).numpy(), np.float64)


def by_measure(score: Callable[[Any], float], judged: Crops) -> Blur:
    """Return the blur of `judged` by a measure of sharpness."""
    return np.array([-score(tile) for tile in judged.tiles()[:, 0]])


def few(paths: list[Path], judged: Crops, seed: int, steps: int) -> dict[str, Blur]:
    """Return the blur of `judged` by networks that learned from few pairs."""
    labelled, unlabelled = crops(paths, LABELLED, 1000 + seed), crops(paths, UNLABELLED, 2000 + seed)
    pairs, found = compared(labelled, PAIRS, seed), {}
    for name, recipe in FEW.items():
        torch.manual_seed(seed)
        chosen = semi.Recipe(loss=recipe.loss, consistency=recipe.consistency, anchor=recipe.anchor, steps=steps)
        found[name] = by_network(semi.train(TileNetwork(), pairs, unlabelled.regions, chosen, seed), judged)
    return found


def many(paths: list[Path], judged: Crops, seed: int, steps: int, places: int, names: list[str]) -> dict[str, Blur]:
    """Return the blur of `judged` by networks that learned from pairs made of `places` places."""
    made, found = ranked.draw(paths, places, 3000 + seed), {}
    for name in names:
        recipe = semi.Recipe(loss=MANY[name], steps=steps)
        found[name] = by_network(tiles.train(made, NOBODY, np.zeros((0, 1, 1), np.uint8), recipe, seed), judged)
    return found


def summary(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Return means and deviations over seeds of one method."""
    keys = ("srocc", "krocc", "plcc", "pairwise")
    mean = {key: round(float(np.mean([row[key] for row in rows])), 4) for key in keys}
    std = {key: round(float(np.std([row[key] for row in rows])), 4) for key in keys}
    kinds = {k: round(float(np.mean([r["kinds"][k]["srocc"] for r in rows])), 4) for k in rows[0]["kinds"]}
    seeds = [{key: round(row[key], 4) for key in keys} for row in rows]
    return {**mean, "mean": mean, "std": std, "seeds": seeds, "srocc_by_kind": kinds}


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Measure."""
    torch.set_num_threads(1)
    parts, only = split(arguments.images or []), set(arguments.only.split(","))
    rows: dict[str, list[dict[str, Any]]] = {}
    answer: dict[str, Any] = {}
    with opened(arguments.pack) as (pack,):
        model = TileModel(pack)
        for seed in range(arguments.seeds):
            judged = crops(parts.judge, JUDGED, 4000 + seed)
            found = {name: by_measure(method.score, judged) for name, method in methods().items()}
            blur = model.session.run(judged.tiles())["blur"]
            found["base"] = np.asarray(blur.reshape(-1), np.float64)
            if "few" in only:
                found |= few(parts.train, judged, seed, arguments.steps)
            if "many" in only:
                found |= many(parts.train, judged, seed, arguments.steps, arguments.places, arguments.losses.split(","))
            for name, values in found.items():
                row = agreement(values, judged.blur) | {"kinds": by_group(values, judged.blur, judged.kinds)}
                rows.setdefault(name, []).append(row)
                say(f"seed {seed}: {name}: SROCC {row['srocc']:.3f}, pairwise {row['pairwise']:.3f}")
        if "checks" in only:
            began = time.perf_counter()
            answer["checks"] = blur_checks.checks(pack, model, parts.judge, arguments.frames, arguments.coco)
            say(f"checks in {time.perf_counter() - began:.0f} s: {answer['checks']}")
        model.close()
    return {"methods": {name: summary(found) for name, found in rows.items()}, **answer}


if __name__ == "__main__":
    made = parser(__doc__ or "", images=False)
    made.add_argument("--images", type=Path, action="append", help="folder of sharp photographs; again for each")
    made.add_argument("--pack", default="base")
    made.add_argument("--seeds", type=int, default=3)
    made.add_argument("--steps", type=int, default=300, help="of each training")
    made.add_argument("--places", type=int, default=1500)
    made.add_argument("--losses", default="many", help=f"of {', '.join(MANY)}")
    made.add_argument("--only", default="few,many,checks", help="parts, with commas")
    made.add_argument("--frames", type=Path, default=DATA / "street" / "images", help="of a detector's judging")
    made.add_argument("--coco", type=Path, default=DATA / "street" / "val.json", help="their truth")
    main(run, made)
