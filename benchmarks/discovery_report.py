"""What the parts of `benchmarks.discovery` say together: means and spreads, shares, and the acceptance tests."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np

FULL: Final = "full"
"""The method with all true boxes, which the others are a share of."""


def figure(values: Sequence[float]) -> dict[str, Any]:
    """Return mean and spread of shares 0..1, in points, and of how many seeds."""
    points = 100 * np.array(values)
    return {"mean": float(points.mean()), "std": float(points.std()), "seeds": len(points), "values": points.tolist()}


def summary(parts: dict[str, dict[str, float]]) -> dict[str, Any]:
    """Return figures by method from what each method and seed gave (``NAME/SEED``)."""
    by_name: dict[str, dict[int, dict[str, float]]] = {}
    for key, row in parts.items():
        name, _, seed = key.partition("/")
        by_name.setdefault(name, {})[int(seed)] = row
    full = {seed: row["ap50"] for seed, row in by_name.get(FULL, {}).items() if "ap50" in row}
    found: dict[str, Any] = {}
    for name, rows in by_name.items():
        own: dict[str, Any] = {}
        for key in ("corloc", "ap50"):
            values = [row[key] for _, row in sorted(rows.items()) if key in row]
            if values:
                own[key] = figure(values)
        shares = [row["ap50"] / full[s] for s, row in sorted(rows.items()) if "ap50" in row and full.get(s)]
        if shares:
            own["ap50_share"] = figure(shares)
        found[name] = own
    return found


def gap(rows: dict[str, Any], one: str, other: str, key: str) -> float | None:
    """Return by how many points the mean of `one` is above that of `other`; None where one was not measured."""
    found = [rows.get(name, {}).get(key, {}).get("mean") for name in (one, other)]
    return None if None in found else float(found[0] - found[1])


def acceptance(rows: dict[str, Any]) -> dict[str, Any]:
    """Return what is known of the acceptance tests, in points; None where a part of one was not measured.

    ``localisation``: refinements over streams (goal 3) and over class maps (10); ``active``: AP50 over random choice
    (1) and of entropy over it (a negative control); ``mixed``: AP50 over boxes alone (3), under all boxes (0).
    """
    known = [name for name in ("best", "several", "clusters", "tags") if "corloc" in rows.get(name, {})]
    best = max(known, key=lambda name: float(rows[name]["corloc"]["mean"]), default="tags")
    ap, where = "ap50", "corloc"
    return {
        "localisation": {
            "seeds": best, "over_streams": gap(rows, best, "streams", where),
            "over_maps": gap(rows, best, "activation", where),
            "over_first_proposal": gap(rows, best, "first", where),
        },
        "active": {
            "over_random": gap(rows, "active10", "random10", ap),
            "corloc_over_random": gap(rows, "active10", "random10", where),
            "entropy_over_random": gap(rows, "entropy10", "random10", ap),
        },
        "mixed": {
            "over_boxes_alone": gap(rows, "random10", "boxes10", ap), "under_all_boxes": gap(rows, FULL, "random10", ap)
        },
        "transfer": {"corloc": gap(rows, "transfer30", "partial30", where)},
    }  # fmt: skip
