"""What a pack's detector finds, whatever it takes it for: a class that it does not know looks like one that it does."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Final

from central.learn.discover.proposals import Boxes, Kit, ProposalError, ranked
from edge.runtime import RuntimeFault, packs
from edge.runtime.model import Model
from edge.runtime.prepare import Image
from protocols.pack import PackError

LEAST: Final = 0.05
"""Score from which a detection is proposed: heads choose among them."""


class Detector:
    """A pack, opened."""

    def __init__(self, model: Model) -> None:
        self.model, self.key = model, f"detector 1 {model.pack.address}"

    def propose(self, image: Image, camera: str, path: Path | None) -> Boxes:
        """Return its boxes, of whatever class."""
        found = self.model.infer(image, threshold=LEAST).detections
        return ranked(found.boxes, found.scores)


class OfPack:
    """The way."""

    name = "detector"
    about = "what the detector of a pack finds, of whatever class"

    def open(self, kit: Kit) -> Detector:
        """Return the pack of `kit`, opened. Raises ProposalError."""
        if not kit.pack:
            raise ProposalError("detector: name a pack (a folder, a .wpack file, or base)")
        try:
            with tempfile.TemporaryDirectory(prefix="wayside-") as scratch:
                return Detector(Model(packs.find(kit.pack, Path(scratch)), "cpu"))
        except (PackError, RuntimeFault) as error:
            raise ProposalError(f"detector: {kit.pack}: {error}") from None


PROPOSALS = OfPack()
