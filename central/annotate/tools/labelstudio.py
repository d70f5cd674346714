"""Label Studio: a project with its labelling interface, and tasks that carry their proposals."""

from __future__ import annotations

from pathlib import Path

from central.annotate.formats import Dataset, kinds
from central.annotate.formats.labelstudio import config


class LabelStudio:
    """The tool."""

    name = "label-studio"
    program = "labelstudio"
    answers = "tasks.json"
    flat = False

    def write(self, dataset: Dataset, folder: Path) -> None:
        """Write ``tasks.json`` and ``config.xml``."""
        kinds()[self.name].write(dataset, folder / "tasks.json")
        (folder / "config.xml").write_text(config(dataset.labels, dataset.tags), "utf-8")


TOOL = LabelStudio()
