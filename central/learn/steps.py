"""What every loop of steps shares: its bar for people, its batches, its optimizer, and the state of that on disk."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

import cv2
import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

PLAIN_EVERY: Final = 200
"""Steps between two plain lines."""
_PREFIX: Final = "optimizer."


class StepBar:
    """A progress bar on standard error; plain lines where that is not a terminal."""

    def __init__(self, does: str) -> None:
        self._console = Console(stderr=True)
        self._bar = Progress(
            TextColumn(does), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TextColumn("{task.fields[note]}"),
            console=self._console,
        )  # fmt: skip
        self._task = self._bar.add_task(does, note="")

    def warn(self, text: str) -> None:
        """Say something that the bar must not hide."""
        self._console.print(f"warning: {text}", markup=False, highlight=False)

    def show(self, step: int, steps: int, note: str, *, always: bool = False) -> None:
        """Show how far it is; a plain line every PLAIN_EVERY steps, or `always`."""
        if not self._console.is_terminal:
            if always or step % PLAIN_EVERY == 0:
                print(f"step {step}/{steps} {note}", file=sys.stderr, flush=True)
            return
        if not self._bar.live.is_started:
            self._bar.start()
        self._bar.update(self._task, completed=step, total=steps, note=note)
        if step >= steps:
            self._bar.stop()


def _one_thread(_: int) -> None:
    cv2.setNumThreads(0)
    torch.set_num_threads(1)


def loader(
    stream: Dataset[Any], batches: Sequence[list[int]], workers: int, collate: Callable[[list[Any]], Any],
    device: torch.device,
) -> DataLoader[Any]:  # fmt: skip
    """Return the `batches` (places in `stream`) in their order, made by so many processes of one thread each."""
    return DataLoader(
        stream,
        batch_sampler=batches,
        num_workers=workers,
        collate_fn=collate,
        pin_memory=device.type == "cuda",
        prefetch_factor=4 if workers else None,
        worker_init_fn=_one_thread,
    )


def adamw(parameters: Iterable[nn.Parameter], rate: float, decay: float) -> torch.optim.AdamW:
    """Return AdamW over those of `parameters` that learn; biases and norms have no weight decay."""
    learned = [p for p in parameters if p.requires_grad]
    groups = [
        {"params": [p for p in learned if p.ndim > 1], "weight_decay": decay},
        {"params": [p for p in learned if p.ndim <= 1], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=rate)


def optimizer_tensors(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """Return the state of `optimizer` as tensors by name, for a checkpoint."""
    found: dict[str, Tensor] = {}
    for index, state in optimizer.state_dict()["state"].items():
        found |= {f"{_PREFIX}{index}.{key}": torch.as_tensor(value) for key, value in state.items()}
    return found


def load_optimizer(optimizer: torch.optim.Optimizer, tensors: dict[str, Tensor]) -> None:
    """Bring back what `optimizer_tensors` gave; other `tensors` are passed over."""
    whole = optimizer.state_dict()
    whole["state"] = {}
    for name, tensor in tensors.items():
        if name.startswith(_PREFIX):
            _, index, key = name.split(".")
            whole["state"].setdefault(int(index), {})[key] = tensor
    optimizer.load_state_dict(whole)
