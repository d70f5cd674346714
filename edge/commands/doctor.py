"""``wayside-edge doctor``: what this machine can do, and what to change."""

from __future__ import annotations

import importlib.util
import os
import platform
import shutil
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

OLDEST: Final = datetime(2026, 1, 1, tzinfo=UTC)
"""A clock before this date was never set."""
LOW_DISK: Final = 1024**3
"""Bytes under which a spool has no room."""


def examine(data: Path) -> dict[str, Any]:
    """Return what was found: a mapping of topics, and ``advice``, a list of sentences (empty: all is well)."""
    advice: list[str] = []
    report = {
        "python": platform.python_version(),
        "machine": {"arch": platform.machine(), "cpu": _cpu(), "cores": _cores()},
        "onnxruntime": _onnxruntime(advice),
        "opencv": _opencv(advice),
        "tensorrt": _version("tensorrt"),
        "av": _version("av"),
        "disk": _disk(data, advice),
        "clock": _clock(advice),
        "mosquitto": shutil.which("mosquitto") or shutil.which("/usr/sbin/mosquitto"),
    }
    return {**report, "advice": advice, "ok": not advice}


def _cpu() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        return platform.processor()
    return next(
        (line.split(":", 1)[1].strip() for line in text.splitlines() if line.startswith(("model name", "Model"))), ""
    )


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1


def _version(module: str) -> str | None:
    """Return a module's version without importing what is not there."""
    if importlib.util.find_spec(module) is None:
        return None
    try:
        return str(getattr(importlib.import_module(module), "__version__", "present"))
    except ImportError as error:
        return f"broken: {error}"


def _onnxruntime(advice: list[str]) -> dict[str, Any]:
    version = _version("onnxruntime")
    if version is None or version.startswith("broken"):
        advice.append(
            "ONNX Runtime is missing or broken: install wayside[edge], or wayside[edge-gpu] with an NVIDIA GPU"
        )
        return {"version": version, "providers": []}
    import onnxruntime  # type: ignore[import-untyped,unused-ignore]

    providers = list(onnxruntime.get_available_providers())
    if Path("/dev/nvidia0").exists() and "CUDAExecutionProvider" not in providers:
        advice.append(
            "there is an NVIDIA GPU, but ONNX Runtime cannot use it: install wayside[edge-gpu] instead of wayside[edge]"
        )
    return {"version": version, "providers": providers}


def _opencv(advice: list[str]) -> dict[str, Any]:
    version = _version("cv2")
    if version is None or version.startswith("broken"):
        advice.append(
            "OpenCV is missing or broken: install wayside[edge]; never opencv-python beside opencv-python-headless"
        )
        return {"version": version}
    import cv2

    lines = {
        key.strip().lower(): value.strip()
        for key, _, value in (line.partition(":") for line in cv2.getBuildInformation().splitlines())
    }
    return {"version": version, "ffmpeg": lines.get("ffmpeg", "NO"), "gstreamer": lines.get("gstreamer", "NO")}


def _disk(data: Path, advice: list[str]) -> dict[str, Any]:
    folder = data.absolute()
    while not folder.exists():
        folder = folder.parent
    usage = shutil.disk_usage(folder)
    if usage.free < LOW_DISK:
        advice.append(f"only {usage.free // 1024**2} MB are free at {folder}: free some, or point --data elsewhere")
    if not os.access(folder, os.W_OK):
        advice.append(f"{folder} cannot be written: change its owner, or point --data elsewhere")
    return {"folder": str(folder), "free_bytes": usage.free, "total_bytes": usage.total}


def _clock(advice: list[str]) -> str:
    now = datetime.now(UTC)
    if now < OLDEST:
        advice.append(f"the clock says {now:%Y-%m-%d}: let the machine synchronise its time")
    return now.isoformat(timespec="seconds")
