"""A run of self-supervision as pictures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray


def _lines(axes: Any, history: Sequence[dict[str, Any]], names: Sequence[str], **style: Any) -> None:
    for name in names:
        points = [(row["step"], row[name]) for row in history if name in row]
        if points:
            axes.plot(*zip(*points, strict=True), label=name.partition(".")[2] or name, linewidth=1, **style)
    if axes.lines:
        axes.legend(fontsize=7)


def curves(history: Sequence[dict[str, Any]], path: Path) -> None:
    """Draw losses, spread, rank and kNN over the steps into the PNG at `path`."""
    figure = Figure(figsize=(12, 3.4), layout="constrained")
    FigureCanvasAgg(figure)
    names = sorted({name for row in history for name in row})
    first, second, third, fourth = figure.subplots(1, 4)
    _lines(first, history, ["loss", *(n for n in names if n.startswith("loss."))])
    first.set(xlabel="step", title="Loss")
    _lines(second, history, [n for n in names if n.startswith("spread.")])
    second.axhline(0.5, color="grey", linewidth=0.8, linestyle="--")
    second.set(xlabel="step", title="Spread (1: even, below 0.5: collapse)", ylim=(0, 1.1))
    _lines(third, history, ["rank"])
    third.set(xlabel="step", title="Effective rank of the features", ylim=(0, None))
    _lines(fourth, history, ["knn", "knn_all"], marker="o", markersize=3)
    fourth.set(xlabel="step", title="kNN of frozen features", ylim=(0, 1))
    figure.savefig(path, dpi=110)


def embedding(points: NDArray[np.float32], cameras: Sequence[str], path: Path) -> None:
    """Draw `points` ``[N, D]`` along their two main axes, coloured by camera, into the PNG at `path`."""
    figure = Figure(figsize=(7, 5), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    centred = points - points.mean(axis=0)
    _, values, across = np.linalg.svd(centred, full_matrices=False)
    flat = centred @ across[:2].T
    share = values**2 / max(float((values**2).sum()), 1e-12)
    for number, name in enumerate(dict.fromkeys(cameras)):
        own = np.array([c == name for c in cameras])
        marker = "o^s"[number // 10 % 3]
        axes.scatter(flat[own, 0], flat[own, -1], s=8, color=f"C{number % 10}", marker=marker, label=name)
    axes.set(
        xlabel=f"first axis ({share[0]:.0%})", ylabel=f"second axis ({share[1]:.0%})" if len(share) > 1 else "",
        title="Frames by their embedding, coloured by camera",
    )  # fmt: skip
    if len(set(cameras)) <= 30:
        axes.legend(fontsize=6, loc="center left", bbox_to_anchor=(1, 0.5))
    figure.savefig(path, dpi=110)
