"""How well blur is ordered: learned from few pairs, from many made ones, and by the measures of the literature.

    python -m benchmarks.blur [--images DIR ...] [--seeds 3] [--steps 400] [--only few,many,checks] [--json]

`methods.NAME` has `srocc` and `pairwise` (means over seeds) with `mean`, `std` and `seeds`, on 600 crops of photographs
that nothing was learned from, blurred by known amounts and seen with noise and JPEG: `few-*` learned from 150 pairs of
80 crops (and 800 unlabelled ones), `many` from pairs made of `--places` places, `base` is the pack that ships. `checks`
are monotony, texture, use for a detector, and time. With `--keep FILE` what is measured is kept there by method and
seed, and not measured again: a long run can be done in parts. `--validation` judges by photographs that are learned
from otherwise, left out for it: whatever is chosen is chosen there.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks import blur_checks
from benchmarks.blur_data import JUDGED, LABELLED, PAIRS, UNLABELLED, Crops, Split, compared, crops, split
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
    "few-qrc-quarter": semi.Recipe(loss="hinge", consistency=1, anchor=0.25),
    "few-qrc-anchor": semi.Recipe(loss="hinge", consistency=1, anchor=1),
}
HELD = 4
"""Every so many-th photograph to learn from judges instead, with `--validation`."""
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


def few(paths: list[Path], judged: Crops, seed: int, steps: int, names: list[str]) -> Iterator[tuple[str, Blur]]:
    """Yield the blur of `judged` by networks that learned from few pairs, as the recipes called `names` say."""
    if not names:
        return
    labelled, unlabelled = crops(paths, LABELLED, 1000 + seed), crops(paths, UNLABELLED, 2000 + seed)
    pairs = compared(labelled, PAIRS, seed)
    for name in names:
        torch.manual_seed(seed)
        chosen = replace(FEW[name], steps=steps)
        yield name, by_network(semi.train(TileNetwork(), pairs, unlabelled.regions, chosen, seed), judged)


def many(
    paths: list[Path], judged: Crops, seed: int, steps: int, places: int, names: list[str]
) -> Iterator[tuple[str, Blur]]:
    """Yield the blur of `judged` by networks that learned from pairs made of `places` places."""
    if not names:
        return
    made = ranked.draw(paths, places, 3000 + seed)
    for name in names:
        recipe = semi.Recipe(loss=MANY[name], steps=steps)
        yield name, by_network(tiles.train(made, NOBODY, np.zeros((0, 1, 1), np.uint8), recipe, seed), judged)


def summary(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Return means and deviations over seeds of one method."""
    keys = ("srocc", "krocc", "plcc", "pairwise")
    mean = {key: round(float(np.mean([row[key] for row in rows])), 4) for key in keys}
    std = {key: round(float(np.std([row[key] for row in rows])), 4) for key in keys}
    kinds = {k: round(float(np.mean([r["kinds"][k]["srocc"] for r in rows])), 4) for k in rows[0]["kinds"]}
    seeds = [{key: round(row[key], 4) for key in keys} for row in rows]
    return {**mean, "mean": mean, "std": std, "seeds": seeds, "srocc_by_kind": kinds}


class Kept:
    """What was measured, by method and seed, in a file where one is given."""

    def __init__(self, file: Path | None) -> None:
        self.file = file
        known = file is not None and file.is_file()
        self.rows: dict[str, dict[str, Any]] = json.loads(file.read_bytes()) if file is not None and known else {}

    def lacks(self, names: Iterable[str], seed: int) -> list[str]:
        """Return those of `names` that were not measured for `seed`."""
        return [name for name in names if str(seed) not in self.rows.get(name, {})]

    def note(self, name: str, seed: int, blur: Blur, judged: Crops) -> None:
        """Take in the `blur` of `judged` by the method `name`."""
        row = agreement(blur, judged.blur) | {"kinds": by_group(blur, judged.blur, judged.kinds)}
        self.rows.setdefault(name, {})[str(seed)] = row
        say(f"seed {seed}: {name}: SROCC {row['srocc']:.4f}, pairwise {row['pairwise']:.4f}")
        if self.file is not None:
            self.file.write_text(json.dumps(self.rows), "utf-8")


def parts_of(arguments: argparse.Namespace) -> Split:
    """Return the photographs to learn from and those that judge."""
    parts = split(arguments.images or [])
    if not arguments.validation:
        return parts
    different = list(dict.fromkeys(parts.train))
    held = set(different[::HELD])
    return Split([path for path in parts.train if path not in held], sorted(held))


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Measure."""
    torch.set_num_threads(1)
    parts, only, kept = parts_of(arguments), set(arguments.only.split(",")), Kept(arguments.keep)
    wanted = {"few": arguments.recipes.split(","), "many": arguments.losses.split(",")}
    answer: dict[str, Any] = {}
    with opened(arguments.pack) as (pack,):
        model = TileModel(pack)
        for seed in range(arguments.first, arguments.first + arguments.seeds):
            judged = crops(parts.judge, JUDGED, 4000 + seed)
            known = methods()
            for name in kept.lacks(known, seed):
                kept.note(name, seed, by_measure(known[name].score, judged), judged)
            for name in kept.lacks(["base"], seed):
                blur = model.session.run(judged.tiles())["blur"]
                kept.note(name, seed, np.asarray(blur.reshape(-1), np.float64), judged)
            todo = {part: kept.lacks(names, seed) if part in only else [] for part, names in wanted.items()}
            for name, values in few(parts.train, judged, seed, arguments.steps, todo["few"]):
                kept.note(name, seed, values, judged)
            for name, values in many(parts.train, judged, seed, arguments.steps, arguments.places, todo["many"]):
                kept.note(name, seed, values, judged)
        if "checks" in only:
            began = time.perf_counter()
            answer["checks"] = blur_checks.checks(
                pack, model, parts.judge, arguments.frames, arguments.coco, arguments.checks.split(",")
            )  # fmt: skip
            say(f"checks in {time.perf_counter() - began:.0f} s: {answer['checks']}")
        model.close()
    return {"methods": {name: summary(list(found.values())) for name, found in kept.rows.items()}, **answer}


if __name__ == "__main__":
    made = parser(__doc__ or "", images=False)
    made.add_argument("--images", type=Path, action="append", help="folder of sharp photographs; again for each")
    made.add_argument("--pack", default="base")
    made.add_argument("--seeds", type=int, default=3)
    made.add_argument("--first", type=int, default=0, help="the first seed")
    made.add_argument("--steps", type=int, default=400, help="of each training")
    made.add_argument("--places", type=int, default=1500)
    made.add_argument("--losses", default="many", help=f"of {', '.join(MANY)}")
    made.add_argument("--checks", default=",".join(blur_checks.ALL), help="with commas")
    made.add_argument("--recipes", default=",".join(FEW), help="of few pairs, with commas")
    made.add_argument("--keep", type=Path, help="JSON file of what was measured")
    made.add_argument("--validation", action="store_true", help="judge by photographs held out from the training ones")
    made.add_argument("--only", default="few,many,checks", help="parts, with commas")
    made.add_argument("--frames", type=Path, default=DATA / "street" / "images", help="of a detector's judging")
    made.add_argument("--coco", type=Path, default=DATA / "street" / "val.json", help="their truth")
    main(run, made)
