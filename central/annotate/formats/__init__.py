"""How labels come in and go out: one file per format.

A format reads its files into a `Dataset`, and writes one. It knows nothing of the centre; `central.annotate.exchange`
puts datasets into the store and takes them out.

    file -> checked by `reading` (names, numbers, sizes) -> Picture by Picture -> the store
    store -> Picture by Picture -> file; what the format cannot carry is told by `lost`

Pictures may be a stream that reads the files anew each time that it is gone through, so that a large set never has to
lie in memory. What a reader passes over, as it has no place here, is counted in `Dataset.left_out`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final, Literal, Protocol

from central.annotate.boxes import LabelBox
from protocols import slots

TagState = Literal["present", "absent"]
Part = Literal["masks", "tags", "absent tags", "what it is complete for", "scores", "cameras", "frames without labels"]
"""What a picture may have besides boxes."""
UNKNOWN_SIDE: Final = 1
"""Width and height of a picture whose size its file does not tell; its boxes are shares of the image, then."""


class FormatError(ValueError):
    """A data set that cannot be read. The text says which file, what is wrong, and what to do."""


@dataclass(frozen=True)
class Picture:
    """One labelled image.

    `name` is its file, relative to the images; `width`, `height` in pixels; `labelled` False where nobody looked;
    `complete_for` the labels that it was fully looked through for; `index` its place in a sequence, from 0; `tags`
    what is known of it as a whole.
    """

    name: str
    width: int
    height: int
    boxes: tuple[LabelBox, ...] = ()
    complete_for: tuple[str, ...] = ()
    labelled: bool = True
    camera: str = ""
    index: int | None = None
    tags: dict[str, TagState] = field(default_factory=dict)


@dataclass(frozen=True)
class Stream:
    """Pictures that `make` makes anew for each time that they are gone through. Raises FormatError while it goes."""

    make: Callable[[], Iterator[Picture]]

    def __iter__(self) -> Iterator[Picture]:
        """Go through them from the start."""
        return self.make()


@dataclass(frozen=True)
class Dataset:
    """Labelled images and the names of the labels, in order, and of the tags.

    `left_out` counts, in words, what was read and has no place here; it is whole once the pictures were gone through.
    """

    labels: tuple[str, ...]
    pictures: Iterable[Picture] = field(default=())
    tags: tuple[str, ...] = ()
    left_out: Counter[str] = field(default_factory=Counter, compare=False)

    def loaded(self) -> Dataset:
        """Return the same with all of its pictures in memory. Raises FormatError."""
        return replace(self, pictures=tuple(self.pictures))


class Format(Protocol):
    """A member of this family."""

    name: str
    about: str
    """What lies at the path, in a few words."""
    lacks: tuple[Part, ...]
    """What its files have no place for."""
    images: str | None
    """Folder of the images below a data set that is a folder; None where the data set is one file."""

    def read(self, path: Path) -> Dataset:
        """Return the data set at `path`. Raises FormatError."""
        ...

    def write(self, dataset: Dataset, path: Path) -> None:
        """Write `dataset` to `path`. Raises OSError."""
        ...


def kinds() -> dict[str, Format]:
    """Return every format by name."""
    return slots.members("central.annotate.formats", "FORMAT")


def parts(picture: Picture) -> Counter[Part]:
    """Return how often each part is in `picture`."""
    return Counter(
        {
            "masks": sum(b.mask is not None for b in picture.boxes),
            "tags": sum(state == "present" for state in picture.tags.values()),
            "absent tags": sum(state == "absent" for state in picture.tags.values()),
            "what it is complete for": int(bool(picture.complete_for)),
            "scores": sum(b.score is not None for b in picture.boxes),
            "cameras": int(bool(picture.camera)),
            "frames without labels": int(not picture.labelled),
        }
    )


def lost(form: Format, counts: Counter[Part]) -> str:
    """Return one line that says what of `counts` the files of `form` have no place for; empty where nothing is lost."""
    missing = [f"{part} ({counts[part]})" for part in form.lacks if counts[part]]
    return f"{form.name} has no place for: {', '.join(missing)}" if missing else ""


def told_complete(dataset: Dataset, told: str | None) -> Dataset:
    """Return `dataset` with every labelled picture complete for the labels `told`, with commas: 'all', 'none', or some.

    None leaves what the files say.
    """
    if told is None:
        return dataset
    some = {"all": dataset.labels, "none": ()}.get(told, tuple(name for name in told.split(",") if name))

    def make() -> Iterator[Picture]:
        return (replace(p, complete_for=some) if p.labelled else p for p in dataset.pictures)

    return replace(dataset, pictures=Stream(make))
