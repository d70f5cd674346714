"""A training of tags as pictures: how it went, and how good each tag is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from central.learn.tags.metrics import TagReport

COLOURS: Final = 10
"""Before they come again, with another line."""

LOSSES = ("known", "intra", "inter", "pairs", "contrast", "prototypes", "labelled", "all", "cells")


def _figure(width: float, height: float) -> Figure:
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def _line(axes: Any, history: Sequence[Mapping[str, Any]], name: str) -> None:
    points = [(row["epoch"] + 1, row[name]) for row in history if name in row]
    if points:
        axes.plot(*zip(*points, strict=True), label=name, linewidth=1, marker=".", markersize=4)


def curves(history: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Draw losses, mAP and thresholds over the epochs into the PNG at `path`."""
    figure = _figure(9, 3.4)
    left, right = figure.subplots(1, 2)
    for name in LOSSES:
        _line(left, history, name)
    left.set(xlabel="epoch", ylabel="loss", title="Training loss")
    for name in ("map", "theta_intra", "theta_inter", "intra_precision", "inter_precision", "inter_recall"):
        _line(right, history, name)
    right.set(xlabel="epoch", ylim=(0, 1.02), title="On images held back, and pseudo labels")
    for axes in (left, right):
        axes.grid(alpha=0.3)
        if axes.lines:
            axes.legend(fontsize=8)
    figure.savefig(path, dpi=110)


def per_tag(report: TagReport, path: Path) -> None:
    """Draw AP, precision and recall of each tag into the PNG at `path`, with how many images are known to have it."""
    rows = {name: row for name, row in report.tags.items() if row["ap"] is not None}
    figure = _figure(7, 1.4 + 0.34 * max(1, len(rows)))
    axes = figure.subplots()
    places = np.arange(len(rows))
    for shift, key in ((-0.27, "ap"), (0.0, "precision"), (0.27, "recall")):
        axes.barh(places + shift, [row[key] for row in rows.values()], height=0.25, label=key)
    counts = [f"{name} ({row['present']}/{row['present'] + row['absent']})" for name, row in rows.items()]
    axes.set_yticks(places, counts)
    axes.invert_yaxis()
    axes.set(xlim=(0, 1), title=f"Tags on {report.images} images: mAP {100 * report.map:.1f}")
    axes.grid(alpha=0.3, axis="x")
    axes.legend(fontsize=8, loc="lower right")
    figure.savefig(path, dpi=110)


def shares(methods: Mapping[str, Mapping[str, Mapping[str, Any]]], path: Path, bold: str = "hst") -> None:
    """Draw the mAP of every method over the known share (``methods.NAME.SHARE.map``, points) into the PNG `path`."""
    figure = _figure(7.5, 4.8)
    axes = figure.subplots()
    for index, (name, rows) in enumerate(methods.items()):
        x = sorted(int(share) for share in rows if share.isdigit())
        y = np.array([rows[str(share)]["map"] for share in x])
        spread = np.array([rows[str(share)]["std"] for share in x])
        wide = 2.4 if name == bold else 1
        axes.plot(x, y, marker="o", markersize=3, linewidth=wide, label=f"{name} ({y.mean():.1f})",
                  color=f"C{index % COLOURS}", linestyle=("-", "--", ":")[index // COLOURS % 3])  # fmt: skip
        axes.fill_between(x, y - spread, y + spread, alpha=0.06, color=f"C{index % COLOURS}", linewidth=0)
    axes.set(xlabel="known cells, percent", ylabel="mAP", title="Tags from partial labels (mean over shares)")
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)
    figure.savefig(path, dpi=120)
