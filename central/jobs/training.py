"""Training by several processes: of a Ray cluster where this runs on one (Ray Train: torch, gradients averaged over
gloo, or nccl where there are GPUs), else of this machine (torchrun).

    run("detect" | "ssl", words)   the command ``train detect`` or ``train ssl`` with its own words, as a job
    spread(work, workers, folder)  any function of a `Group`, on workers of the cluster

Each worker runs what `torchrun` would have run, on its share of every batch; the first alone writes, to a folder that
all must reach. A run that lost a worker begins again from its last checkpoint.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from central.jobs import Report
from central.jobs.scoring import cluster_cores

FUNCTION: Final = "central.jobs.training:run"
COMMANDS: Final = {
    "detect": ("central.learn.detect.command", "train_detect"),
    "ssl": ("central.learn.ssl.command", "train_ssl"),
}
MAX_FAILURES: Final = 3
"""Times that a training goes on after it lost a worker."""
START_TIMEOUT: Final = "RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S"
START_S: Final = 300
"""For workers to start: each imports torch, which takes a busy machine longer than Ray's own 60 s."""
LOOK_S: Final = 1.0
"""Seconds between two looks at how far a run is."""
METRICS: Final = "metrics.jsonl"


class TrainingJobError(ValueError):
    """A training that cannot be run, or failed. The text says why."""


def spread(work: Callable[[Any], None], workers: int, folder: Path) -> None:
    """Run `work` with its `central.learn.distributed.Group` on each of `workers` workers of the cluster; what Ray notes
    goes to `folder`. Raises TrainingJobError."""
    os.environ.setdefault(START_TIMEOUT, str(START_S))
    from ray.train import FailureConfig, RunConfig, ScalingConfig
    from ray.train.torch import TorchConfig, TorchTrainer

    def loop() -> None:
        from central.learn.distributed import join

        with join() as group:
            work(group)

    trainer = TorchTrainer(
        loop,
        scaling_config=ScalingConfig(num_workers=workers, resources_per_worker={"CPU": 1}),
        torch_config=TorchConfig(backend="gloo"),
        run_config=RunConfig(
            name="workers", storage_path=str(folder.absolute()), failure_config=FailureConfig(max_failures=MAX_FAILURES)
        ),
    )
    # A boundary: what a worker raised comes back within an error of Ray's own, of several kinds.
    try:
        trainer.fit()
    except Exception as error:  # noqa: BLE001 - see above
        lines = [line for line in str(error).splitlines() if line.strip()]
        raise TrainingJobError(f"{workers} workers: {lines[-1][:500] if lines else type(error).__name__}") from None


def command(name: str, words: Sequence[str]) -> None:
    """Run ``train NAME`` with `words` in this process. Raises TrainingJobError."""
    import typer

    module, function = COMMANDS[name]
    made = typer.Typer(add_completion=False)
    made.command()(getattr(importlib.import_module(module), function))
    try:
        typer.main.get_command(made).main(list(words), prog_name=f"train {name}")
    except SystemExit as end:
        if end.code:
            raise TrainingJobError(f"train {name} ended with status {end.code}; see its log") from None


@contextlib.contextmanager
def watched(out: Path, steps: int, report: Callable[[Mapping[str, Any]], None]) -> Iterator[None]:
    """Call `report` with the newest row of the metrics that are written to the run folder `out`, as they come."""
    over = threading.Event()

    def look() -> None:
        told = -1
        while not over.wait(LOOK_S):
            row = newest(out / METRICS)
            if row is not None and row.get("step", -1) > told:
                told = row["step"]
                report({**row, "steps": steps})

    thread = threading.Thread(target=look, daemon=True, name="metrics")
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def newest(path: Path) -> dict[str, Any] | None:
    """Return the last whole row of a file of JSON lines; None where there is none."""
    try:
        lines = path.read_text().rpartition("\n")[0].splitlines()
        row: dict[str, Any] = json.loads(lines[-1])
    except (OSError, IndexError, ValueError):
        return None
    return row


def option(words: Sequence[str], name: str) -> str | None:
    """Return the value of the option `name` among `words`."""
    return next((words[i + 1] for i, word in enumerate(words[:-1]) if word == name), None)


def run(name: str, words: list[str], report: Report, workers: int = 1) -> dict[str, Any]:
    """Train by the command ``train NAME`` (detect or ssl) with its `words`, on `workers` processes.

    Raises TrainingJobError.
    """
    if name not in COMMANDS:
        raise TrainingJobError(f"{name!r} is no training; there are {', '.join(COMMANDS)}")
    out = option(words, "--out")
    if out is None:
        raise TrainingJobError("say where the run is kept: --out FOLDER, which every worker must reach")
    steps = int(option(words, "--steps") or 0)

    def tell(row: Mapping[str, Any]) -> None:
        share = row["step"] / steps if steps else 0.0
        report({"progress": share, "detail": f"step {row['step']} of {steps or '?'}, loss {row.get('loss', 0.0):.3f}"})

    with watched(Path(out), steps, tell):
        if cluster_cores():
            with tempfile.TemporaryDirectory(prefix="wayside-train-") as folder:
                spread(lambda _group: command(name, words), workers, Path(folder))
        elif workers > 1:
            _torchrun(name, words, workers)
        else:
            command(name, words)
    return {"out": out, "workers": workers, **_result(Path(out))}


def _torchrun(name: str, words: Sequence[str], workers: int) -> None:
    module = f"central.learn.{name}"
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(workers)]
    done = subprocess.run([*torchrun, "-m", module, *words], check=False)
    if done.returncode:
        raise TrainingJobError(f"train {name} ended with status {done.returncode}; see its log")


def _result(out: Path) -> dict[str, Any]:
    try:
        found = json.loads((out / "result.json").read_text())
    except (OSError, ValueError):
        return {}
    return {k: v for k, v in found.items() if isinstance(v, (int, float))}
