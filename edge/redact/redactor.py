"""What one camera hides: its masks, the secret labels of the running pack, and what detectors of their own find."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

from edge.redact.regions import Method, Part, Polygon, Regions, fill_masks, hide_regions, mask_boxes
from edge.sources import Image
from protocols.messages import Detection, Redaction


class RedactError(Exception):
    """A frame that may not be written, because what must be hidden in it cannot be found. One line."""


class Finder(Protocol):
    """A detector of secret things, such as faces or number plates, beside the running pack."""

    regions: Regions
    """Which of its detections are hidden, which part of them, and how."""

    def find(self, image: Image) -> list[Detection]:
        """Return what is seen in a masked `image`. From any thread. Raises RedactError."""
        ...


class Redactor:
    """What one camera hides: `masks` (polygons in shares), detections of `labels` (whole box or head), by `method`, and
    whatever the `finders` find.

    With `strict`, each label must be one that the running pack or a finder knows: else nothing may be written.
    """

    def __init__(
        self,
        masks: Sequence[Polygon] = (),
        labels: Iterable[str] = (),
        method: Method = "pixelate",
        part: Part = "box",
        finders: Sequence[Finder] = (),
        strict: bool = False,
    ) -> None:
        self._masks = [list(mask) for mask in masks]
        self._regions = Regions(frozenset(labels), method, part)
        self._finders, self._strict = list(finders), strict
        self.problem = ""
        """Why nothing may be written; empty where all is well."""

    def expect(self, labels: Iterable[str]) -> None:
        """Take note that detections will have `labels` from now on: another pack runs."""
        found = frozenset(labels).union(*(finder.regions.labels for finder in self._finders))
        missing = sorted(self._regions.labels - found) if self._strict else []
        self.problem = (
            f"no frame is kept: {', '.join(missing)} must be hidden, but the pack does not know "
            f"{'it' if len(missing) == 1 else 'them'}; use another pack, add a detector in redact.detectors, or change "
            "redact.labels"
        ) if missing else ""  # fmt: skip

    def mask(self, image: Image) -> Image:
        """Return `image` with the masks filled; the same array where there are none."""
        return fill_masks(image, self._masks)

    def hide(self, image: Image, detections: list[Detection]) -> tuple[Image, list[Redaction]]:
        """Return a masked `image` with all secret regions hidden, and the record of all that is hidden, masks too.

        Raises RedactError where something that must be hidden cannot be found."""
        if self.problem:
            raise RedactError(self.problem)
        records = mask_boxes(self._masks, image.shape[1], image.shape[0])
        found = [(detections, self._regions), *((finder.find(image), finder.regions) for finder in self._finders)]
        for seen, regions in found:
            image, hidden = hide_regions(image, seen, regions)
            records += hidden
        return image, records
