"""Several processes train one run: batches shared without overlap, equal weights everywhere, one writer."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from central.learn.data import Example
from central.learn.detect.config import TrainConfig
from central.learn.detect.train import Run, TrainingError
from central.learn.distributed import ALONE, Group, GroupError
from tests.central.learn.conftest import LABELS

TIMEOUT_S = 240


@pytest.mark.parametrize(("size", "length", "batch"), [(1, 10, 4), (2, 16, 4), (4, 24, 8)])
def test_batches__share_every_place_once_and_in_step(size: int, length: int, batch: int) -> None:
    shares = [Group(rank, size).batches(length, batch) for rank in range(size)]
    assert sorted(i for share in shares for places in share for i in places) == list(range(length))
    whole = ALONE.batches(length, batch)
    for step, places in enumerate(whole):
        assert sorted(i for share in shares for i in share[step]) == places


def test_share__must_divide() -> None:
    with pytest.raises(GroupError, match="a batch of 5 cannot be divided among 2"):
        Group(0, 2).share(5)


def test_run__refuses_a_batch_that_cannot_be_divided(
    tmp_path: Path, shapes: Callable[[int], list[Example]], settings: Callable[..., TrainConfig]
) -> None:
    with pytest.raises(TrainingError, match="cannot be divided"):
        Run(settings(batch=3), shapes(2), [], tmp_path, group=Group(0, 2))


def test_run__only_the_first_process_writes(
    tmp_path: Path, shapes: Callable[[int], list[Example]], settings: Callable[..., TrainConfig]
) -> None:
    run = Run(settings(), shapes(2), shapes(2), tmp_path / "run", group=Group(1, 2))
    run.save()
    assert run._validate() is None
    assert list((tmp_path / "run").iterdir()) == []


WORKER = """
import sys
from pathlib import Path
import torch
from central.learn.distributed import join
torch.set_num_threads(1)
with join() as group:
    network = torch.nn.Linear(3, 2)
    with torch.no_grad():
        network.weight.fill_(1.0), network.bias.zero_()
    network(torch.full((1, 3), float(group.rank))).sum().backward()
    network.bias.grad = None if group.rank else network.bias.grad
    group.average(network.parameters())
    Path(sys.argv[1], str(group.rank)).write_text(f"{network.weight.grad.tolist()} {network.bias.grad.tolist()}")
"""


def torchrun(*words: str) -> subprocess.CompletedProcess[str]:
    """Run two processes on this machine."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)


@pytest.mark.system
def test_average__is_the_mean_over_processes(tmp_path: Path) -> None:
    (tmp_path / "worker.py").write_text(WORKER)
    done = torchrun(str(tmp_path / "worker.py"), str(tmp_path))
    assert done.returncode == 0, done.stderr
    told = {(tmp_path / str(rank)).read_text() for rank in range(2)}
    assert told == {"[[0.5, 0.5, 0.5], [0.5, 0.5, 0.5]] [0.5, 0.5]"}


@pytest.mark.system
def test_command__two_processes_train_one_run(tmp_path: Path, shapes: Callable[[int], list[Example]]) -> None:
    examples = shapes(6)
    truth = {
        "images": [{"id": i, "file_name": e.path.name} for i, e in enumerate(examples)],
        "categories": [{"id": i, "name": name} for i, name in enumerate(LABELS)],
        "annotations": [
            {"id": 0, "image_id": i, "category_id": int(c), "bbox": [*map(float, (*b[:2], *(b[2:] - b[:2])))]}
            for i, e in enumerate(examples)
            for b, c in zip(e.boxes, e.classes, strict=True)
        ],
    }
    (tmp_path / "truth.json").write_text(json.dumps(truth))
    given = f"{tmp_path / 'truth.json'}:{tmp_path / 'shapes'}"
    done = torchrun(
        "-m", "central.learn.detect", "--train", given, "--val", given, "--labels", ",".join(LABELS), "--size", "tiny",
        "--input", "64x64", "--steps", "6", "--batch", "4", "--workers", "0", "--evaluate-every", "0",
        "--out", str(tmp_path / "run"), "--json",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    assert len(lines) == 1
    assert json.loads(lines[0])["steps"] == 6
    assert json.loads((tmp_path / "run" / "result.json").read_text())["steps"] == 6
