"""A training run as pictures: people look before they read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray


def _figure(width: float, height: float) -> Figure:
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def curves(history: list[dict[str, Any]], path: Path) -> None:
    """Draw the parts of the loss and the validation AP50 over the steps into the PNG at `path`."""
    figure = _figure(9, 3.6)
    left, right = figure.subplots(1, 2)
    for name in ("classes", "boxes", "sides", "tags", "kept"):
        points = [(row["step"], row[name]) for row in history if name in row]
        if points:
            left.plot(*zip(*points, strict=True), label=name, linewidth=1)
    left.set(xlabel="step", ylabel="loss", yscale="log", title="Training loss")
    left.legend(fontsize=8)
    points = [(row["step"], row["ap50"]) for row in history if "ap50" in row]
    if points:
        right.plot(*zip(*points, strict=True), marker="o", markersize=3)
    right.set(xlabel="step", ylabel="AP50", ylim=(0, 1), title="Validation AP50")
    right.grid(alpha=0.3)
    figure.savefig(path, dpi=110)


def confusion(matrix: NDArray[np.int64], labels: tuple[str, ...], path: Path) -> None:
    """Draw the confusion matrix ``[C+1, C+1]`` (rows true, columns predicted, last = none) into the PNG at `path`."""
    names = [*labels, "none"]
    share = matrix / np.maximum(matrix.sum(1, keepdims=True), 1)
    side = 2.2 + 0.6 * len(names)
    figure = _figure(side + 0.8, side)
    axes = figure.subplots()
    axes.imshow(share, cmap="Blues", vmin=0, vmax=1)
    axes.set_xticks(range(len(names)), names, rotation=40, ha="right")
    axes.set_yticks(range(len(names)), names)
    axes.set(xlabel="predicted", ylabel="true", title="Confusion at IoU 0.5")
    for i in range(len(names)):
        for j in range(len(names)):
            if matrix[i, j]:
                colour = "white" if share[i, j] > 0.5 else "black"
                axes.text(j, i, str(matrix[i, j]), ha="center", va="center", color=colour, fontsize=8)
    figure.savefig(path, dpi=110)


def tradeoff(rows: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Draw AP50 over latency into the picture at `path`: a curve per name, a point per input size.

    `rows` hold ``name``, ``input``, ``latency_ms`` and ``ap50`` (0..1).
    """
    figure = _figure(7, 4.4)
    axes = figure.subplots()
    for name in dict.fromkeys(row["name"] for row in rows):
        own = sorted((row for row in rows if row["name"] == name), key=lambda row: float(row["latency_ms"]))
        times, scores = [row["latency_ms"] for row in own], [row["ap50"] or 0.0 for row in own]
        axes.plot(times, scores, marker="o", markersize=4, linewidth=1, label=name)
        for row, x, y in zip(own, times, scores, strict=True):
            axes.annotate(row["input"], (x, y), textcoords="offset points", xytext=(5, -9), fontsize=7)
    axes.margins(0.12)
    axes.set(xlabel="milliseconds a frame, one thread", ylabel="AP50", xlim=(0, None), ylim=(0, None))
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8, loc="lower right")
    figure.savefig(path, dpi=110)
