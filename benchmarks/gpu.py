"""The checks that need an NVIDIA GPU; says what is missing where one is.

    python -m benchmarks.gpu

Exit status 0: everything that can run here ran and passed. 1: something failed. 2: nothing could run.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.common import opened, say
from edge.runtime import RuntimeFault, parity
from edge.runtime.model import Model


class MissingError(Exception):
    """What this machine lacks for a check."""


def cuda_training() -> dict[str, Any]:
    """Train the tiny network for some steps on the GPU and on the CPU; the losses must agree."""
    import torch

    if not torch.cuda.is_available():
        raise MissingError("torch sees no CUDA device: needs an NVIDIA driver and a CUDA build of torch")
    from central.learn.data.coco import load
    from central.learn.detect.config import TrainConfig
    from central.learn.detect.train import Run
    from central.learn.models import ModelConfig
    from edge.street.camera import Street
    from edge.street.coco import write_coco

    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        truth = write_coco(folder, 16, Street(seed=1))
        labels = ("person", "two_wheeler", "car", "bus", "truck")
        examples = load(truth, folder / "images", labels)
        model = ModelConfig(size="tiny", labels=labels, tags=labels, height=192, width=320)
        losses = {}
        for device in ("cuda", "cpu"):
            config = TrainConfig(model=model, steps=20, batch=8, workers=0, amp=False, evaluate_every=0, warmup=5)
            run = Run(config, examples, [], folder / device, device=torch.device(device))
            losses[device] = run.run().history[-1]["loss"]
    agree = abs(losses["cuda"] - losses["cpu"]) < 0.05 * losses["cpu"]
    return {"ok": agree, "losses": losses, "device": torch.cuda.get_device_name()}


def cuda_ssl() -> dict[str, Any]:
    """Learn without labels for some steps, on the GPU in bfloat16 and on the CPU; the losses must agree."""
    import torch

    if not torch.cuda.is_available():
        raise MissingError("torch sees no CUDA device: needs an NVIDIA driver and a CUDA build of torch")
    from central.learn.models import ModelConfig
    from central.learn.ssl import boxes, duplicates, sources
    from central.learn.ssl.config import SslConfig
    from central.learn.ssl.train import Run
    from edge.street.camera import Street
    from edge.street.coco import write_coco

    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        write_coco(folder, 32, Street(seed=1))
        stock = duplicates.without(sources.folder(folder / "images"))
        found = boxes.gather(stock, boxes.DEFAULT)
        model = ModelConfig(size="tiny", labels=("thing",), height=128, width=128)
        losses, speed = {}, {}
        for device in ("cuda", "cpu"):
            config = SslConfig(model=model, boxes=boxes.DEFAULT, steps=30, batch=16, look_every=10)
            run = Run(config, stock, found, folder / device, device=torch.device(device))
            numbers = run.run().numbers
            losses[device], speed[device] = numbers["loss"], numbers["images_per_s"]
    agree = abs(losses["cuda"] - losses["cpu"]) < 0.15 * losses["cpu"]
    return {"ok": agree, "losses": losses, "images_per_s": speed}


def pack_on(backend: str) -> Callable[[], dict[str, Any]]:
    """Return a check of the base pack's parity on `backend`."""

    def check() -> dict[str, Any]:
        with opened("base") as (pack,):
            try:
                with Model(pack, backend) as model:
                    report = parity.check(model)
            except RuntimeFault as fault:
                raise MissingError(str(fault)) from None
        return {"ok": report.ok, "detail": report.detail, "worst": report.worst}

    return check


CHECKS: dict[str, Callable[[], dict[str, Any]]] = {
    "cuda_training": cuda_training,
    "cuda_ssl": cuda_ssl,
    "onnxruntime_cuda": pack_on("onnxruntime-cuda"),
    "onnxruntime_tensorrt": pack_on("onnxruntime-tensorrt"),
    "tensorrt": pack_on("tensorrt"),
}


def device() -> str:
    """Return what nvidia-smi calls the GPU, or what is missing."""
    try:
        query = ["nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader"]
        return subprocess.run(query, capture_output=True, text=True, timeout=20, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return "no NVIDIA GPU, or no driver for it"


def main() -> int:
    """Run every check and print one JSON line."""
    results: dict[str, Any] = {"device": device()}
    ran = failed = 0
    for name, check in CHECKS.items():
        try:
            results[name] = check()
        except MissingError as missing:
            results[name] = {"ok": None, "missing": str(missing)}
            say(f"{name}: not run: {missing}")
            continue
        ran += 1
        failed += not results[name]["ok"]
        say(f"{name}: {'passed' if results[name]['ok'] else 'FAILED'}")
    print(json.dumps(results, default=float))
    return 2 if not ran else 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
