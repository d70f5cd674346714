"""How many nodes get a bad release before its rollout stops by itself, and how often a good one stops for nothing.

python -m benchmarks.rollout --json [--nodes 1000] [--seeds 4000] [--plot rollout.png]
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from central.releases.halting import Rule, most_failures, waves

FAILING: Final = (0.25, 0.10, 0.05, 0.01, 0.005)
"""Shares of the fleet that a release breaks, or that fail whatever is released."""


def exposed(failing: float, nodes: int, seeds: int, rule: Rule) -> NDArray[np.int64]:
    """Return for each seed how many of `nodes` had the release when its rollout halted; all of them where it did not.

    Each node fails with probability `failing`, by crashing or by falling silent, and waves are drawn at random.
    """
    sizes = waves(nodes)
    allowed = [most_failures(size, rule) for size in sizes]
    outcome = np.full(seeds, nodes)
    for seed in range(seeds):
        fails = np.random.default_rng((round(failing * 1e6), seed)).random(nodes) < failing
        counts = np.cumsum(fails)
        for size, most in zip(sizes, allowed, strict=True):
            if counts[size - 1] > most:
                outcome[seed] = size
                break
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
    return {"nodes": nodes, "seeds": seeds, "waves": waves(nodes), "rule": vars(rule), "rows": rows}


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
