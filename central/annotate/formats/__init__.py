"""How labels come in and go out: one file per format.

A format reads its files into a `Dataset`, and writes one. It knows nothing of the centre; `central.annotate.exchange`
puts datasets into the store and takes them out.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from central.annotate.boxes import LabelBox
from protocols import slots


class FormatError(ValueError):
    """A data set that cannot be read. The text says which file, what is wrong, and what to do."""


@dataclass(frozen=True)
class Picture:
    """One labelled image.

    `name` is its file, relative to the images; `width`, `height` in pixels; `labelled` False where nobody looked;
    `complete_for` the labels that it was fully looked through for; `index` its place in a sequence, from 0.
    """

    name: str
    width: int
    height: int
    boxes: tuple[LabelBox, ...] = ()
    complete_for: tuple[str, ...] = ()
    labelled: bool = True
    camera: str = ""
    index: int | None = None


@dataclass(frozen=True)
class Dataset:
    """Labelled images and the names of the labels, in order."""

    labels: tuple[str, ...]
    pictures: tuple[Picture, ...] = field(default=())


class Format(Protocol):
    """A member of this family."""

    name: str

    def read(self, path: Path) -> Dataset:
        """Return the data set at `path`. Raises FormatError."""
        ...

    def write(self, dataset: Dataset, path: Path) -> None:
        """Write `dataset` to `path`. Raises OSError."""
        ...


def kinds() -> dict[str, Format]:
    """Return every format by name."""
    return slots.members("central.annotate.formats", "FORMAT")
