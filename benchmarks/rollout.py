"""How many nodes get a bad release before its rollout stops by itself, and how often a good one stops for nothing.

What decides is what decides in a centre: the plan's waves, the gate `install`, and `judge.decide`. That the engine does
with nodes what is counted here with numbers is a test (`tests/central/releases/test_rollout_simulated.py`).

python -m benchmarks.rollout --json [--nodes 1000] [--seeds 4000] [--plot rollout.png]
"""

from __future__ import annotations

import argparse
import functools
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from central.releases.gates import Evidence
from central.releases.gates.install import GATE
from central.releases.halting import Rule
from central.releases.rollout import judge
from central.releases.rollout.plan import Plan, sizes

FAILING: Final = (0.25, 0.10, 0.05, 0.01, 0.005)
"""Shares of the fleet that a release breaks, or that fail whatever is released."""


@functools.cache
def step(failed: int, judged: int, last: bool, rule: Rule) -> judge.Step:
    """Return what follows a wave after which `failed` of `judged` nodes have failed; the last one, or not."""
    verdict = GATE.judge(Evidence(failed, judged, settled=True), rule.acceptable, rule)
    return judge.decide([(verdict, GATE.required)], settled=True, soaked=True, last=last).step


def halted_at(fails: NDArray[np.bool_], waves: Sequence[int], rule: Rule) -> int:
    """Return how many nodes had the release when its rollout ended: `fails` says of each node, in the order in which
    they are offered it, whether it fails."""
    counts = np.cumsum(fails)
    for size in waves:
        if step(int(counts[size - 1]), size, size == waves[-1], rule) == "halt":
            return size
    return waves[-1]


def exposed(failing: float, nodes: int, seeds: int, rule: Rule) -> NDArray[np.int64]:
    """Return for each seed how many of `nodes` had the release when its rollout halted; all of them where it did not.

    Each node fails with probability `failing`, by crashing or by falling silent, and waves are drawn at random.
    """
    waves = sizes(Plan(), nodes)
    outcome = np.full(seeds, nodes)
    for seed in range(seeds):
        fails = np.random.default_rng((round(failing * 1e6), seed)).random(nodes) < failing
        outcome[seed] = halted_at(fails, waves, rule)
    return outcome


def measure(nodes: int, seeds: int, rule: Rule) -> dict[str, Any]:
    """Return the exposure (shares of the fleet) by failing share, and the waves."""
    rows = []
    for failing in FAILING:
        outcome = exposed(failing, nodes, seeds, rule)
        rows.append(
            {
                "failing": failing,
                "mean": float(outcome.mean() / nodes),
                "p99": float(np.quantile(outcome, 0.99, method="higher") / nodes),
                "halted": float((outcome < nodes).mean()),
            }
        )
    return {"nodes": nodes, "seeds": seeds, "waves": sizes(Plan(), nodes), "rule": vars(rule), "rows": rows}


def plot(nodes: int, seeds: int, rule: Rule, path: Path) -> None:
    """Draw how likely more than a share of the fleet is exposed, by failing share."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(7, 4.2), layout="constrained")
    for failing in FAILING:
        shares = np.sort(exposed(failing, nodes, seeds, rule)) / nodes
        axes.step(shares, 1 - np.arange(seeds) / seeds, where="post", label=f"{failing:.1%} of the nodes fail")
    axes.set(
        xscale="log", xlabel="share of the fleet that had the release", ylabel="share of rollouts that got so far",
        title=f"{nodes} nodes, {seeds} rollouts, halted by the test after each wave",
    )  # fmt: skip
    axes.axhline(0.01, color="grey", linewidth=0.8, linestyle=":")
    axes.legend(frameon=False)
    figure.savefig(path, dpi=140)


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nodes", type=int, default=1000)
    parser.add_argument("--seeds", type=int, default=4000)
    parser.add_argument("--plot", type=Path, help="draw the curves into this picture")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    rule = Rule()
    found = measure(given.nodes, given.seeds, rule)
    if given.plot:
        plot(given.nodes, given.seeds, rule, given.plot)
    for row in found["rows"]:
        if not given.json:
            print(f"{row['failing']:6.1%} fail: p99 {row['p99']:6.1%} exposed, halted in {row['halted']:6.1%}")
    if given.json:
        print(json.dumps(found))


if __name__ == "__main__":
    main()
