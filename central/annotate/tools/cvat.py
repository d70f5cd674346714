"""CVAT: a task with its labels, and proposals that find their image by its name."""

from __future__ import annotations

import json
from pathlib import Path

from central.annotate.formats import Dataset, kinds
from central.annotate.formats.cvat import label_list


class Cvat:
    """The tool."""

    name = "cvat"
    program = "cvat"
    answers = "annotations.xml"
    flat = True

    def write(self, dataset: Dataset, folder: Path) -> None:
        """Write ``proposals.xml`` and ``labels.json``."""
        kinds()[self.name].write(dataset, folder / "proposals.xml")
        (folder / "labels.json").write_text(json.dumps(label_list(dataset.labels, dataset.tags)), "utf-8")


TOOL = Cvat()
