"""``wayside-edge doctor``: what this machine can do, and what to change."""

from __future__ import annotations

import importlib.util
import os
import platform
import resource
import shutil
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from edge.metrics import temperature

OLDEST: Final = datetime(2026, 1, 1, tzinfo=UTC)
"""A clock before this date was never set."""
LOW_DISK: Final = 1024**3
"""Bytes under which a spool has no room."""
LOW_MEMORY: Final = 512 * 1024**2
"""Bytes available under which a node with four cameras, 250 MB, is at risk."""
LOW_FILES: Final = 1024
"""Open files that a process may have: a node needs 10 and 4 per camera."""
HOT_CELSIUS: Final = 85.0
"""From which most processors slow down."""
PASSES, WARM_UP = 20, 5
"""Passes of the model that are timed, and before."""
RATE: Final = 5.0
"""Frames per second that a camera usually needs."""
SHARE: Final = 0.7
"""Of the time, that the model may take: the rest is for decoding, scores and whatever else the machine does."""
UNITS: Final = ("/dev/nvidia0", "/dev/nvhost-nvdec", "/dev/v4l2-nvdec", "/dev/dri/renderD128")
"""Where a machine that can decode video in hardware shows it."""
FEATURES: Final = ("avx2", "avx512f", "avx512_vnni", "avx_vnni", "asimd", "asimddp")
"""Of processors, that make models faster: the last three are those that 8-bit packs gain from."""


def examine(data: Path, measure: bool = True) -> dict[str, Any]:
    """Return what was found: a mapping of topics, and ``advice``, a list of sentences (empty: all is well). With
    `measure`, the base pack is timed, which takes a second or two."""
    advice: list[str] = []
    report = {
        "python": platform.python_version(),
        "machine": {"arch": platform.machine(), "cpu": _cpu(), "cores": _cores(), "features": _features(), **_board()},
        "memory": _memory(advice),
        "temperature_c": _temperature(advice),
        "files": _files(advice),
        "onnxruntime": _onnxruntime(advice),
        "opencv": _opencv(advice),
        "tensorrt": _version("tensorrt"),
        "av": _version("av"),
        "decoding": _decoding(advice),
        "speed": _speed(advice) if measure else None,
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


def _features() -> list[str]:
    try:
        words = set(Path("/proc/cpuinfo").read_text().split())
    except OSError:
        return []
    return [feature for feature in FEATURES if feature in words]


def _board(path: Path = Path("/proc/device-tree/model")) -> dict[str, str]:
    """Return what a board calls itself, such as a Jetson."""
    try:
        return {"board": path.read_text(errors="replace").strip("\0 \n")}
    except OSError:
        return {}


def _memory(advice: list[str], path: Path = Path("/proc/meminfo")) -> dict[str, int] | None:
    try:
        lines = dict(line.split(":", 1) for line in path.read_text().splitlines() if ":" in line)
        total, free = (1024 * int(lines[key].split()[0]) for key in ("MemTotal", "MemAvailable"))
    except (OSError, KeyError, ValueError):
        return None
    if free < LOW_MEMORY:
        advice.append(f"only {free // 1024**2} MB of memory are free: stop other programs, or watch fewer cameras")
    return {"total_bytes": total, "available_bytes": free}


def _temperature(advice: list[str]) -> float | None:
    celsius = temperature()
    if celsius is not None and celsius >= HOT_CELSIUS:
        advice.append(f"the machine is at {celsius:.0f} °C and slows down: give it air, or fewer frames per second")
    return celsius


def _files(advice: list[str]) -> int:
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if limit < LOW_FILES:
        advice.append(f"only {limit} files may be open: raise it with 'ulimit -n 4096', or LimitNOFILE in the unit")
    return limit


def _decoding(advice: list[str]) -> dict[str, str | None]:
    """Return how network cameras are decoded, with advice where this machine could do better."""
    try:
        from edge.sources import gstreamer

        decoder, reason = gstreamer.available()
    except ImportError as error:
        return {"hardware": None, "reason": str(error)}
    if decoder is None and any(Path(unit).exists() for unit in UNITS):
        advice.append(f"this machine may decode video in hardware, but the processor does it: {reason}")
    return {"hardware": decoder, "reason": reason or None}


def _speed(advice: list[str]) -> dict[str, Any] | None:
    """Return how fast the base pack runs here, and for how many cameras that is enough."""
    try:
        import numpy as np

        from edge.runtime import RuntimeFault
        from edge.runtime.model import Model
        from edge.runtime.packs import find
        from protocols.pack import PackError
    except ImportError:
        return None  # what is missing is told elsewhere
    image = np.full((720, 1280, 3), 90, np.uint8)
    try:
        with tempfile.TemporaryDirectory(prefix="wayside-") as folder, Model(find("base", Path(folder))) as model:
            for _ in range(WARM_UP):
                model.infer(image)
            start = time.perf_counter()
            for _ in range(PASSES):
                model.infer(image)
            fps = PASSES / (time.perf_counter() - start)
            backend = model.backend_name
    except (PackError, RuntimeFault, OSError) as error:
        advice.append(f"the base pack does not run here: {error}")
        return None
    cameras = int(SHARE * fps / RATE)
    if not cameras:
        advice.append(f"the base pack makes {fps:.1f} frames per second here: set fps of a camera below {fps / 2:.1f}")
    return {"backend": backend, "frames_per_second": round(fps, 1), "cameras_at_5_fps": cameras}


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
