"""How a node fares: the figures that are kept of it before and after it changed its pack. Pure."""

from __future__ import annotations

from statistics import fmean
from typing import Any, Final

from central.store.models import Camera, Node

RATES: Final = ("fps", "latency_p50_ms", "latency_p95_ms", "uncertainty", "blur")
"""Of cameras that watch; the node's figure is their mean."""


def _mean(values: list[float]) -> float | None:
    return fmean(values) if values else None


def _camera(camera: Camera) -> dict[str, Any]:
    health = camera.health or {}
    frames, selected = int(health.get("frames") or 0), int(health.get("selected") or 0)
    share = selected / frames if frames else None
    return {**{name: health.get(name) for name in RATES}, "state": health.get("state"), "selected_share": share}


def fared(node: Node) -> dict[str, Any]:
    """Return how `node` fares, its cameras loaded: rates as in `CameraHealth`, and ``crashes``, ``temperature_c``.

    What is not known is None."""
    cameras = {camera.name: _camera(camera) for camera in node.cameras}
    watching = [c for c in cameras.values() if c["state"] == "watching"]
    rates = {
        name: _mean([float(c[name]) for c in watching if c[name] is not None]) for name in (*RATES, "selected_share")
    }
    return {**rates, "crashes": node.crashes, "temperature_c": node.temperature_c, "cameras": cameras}
