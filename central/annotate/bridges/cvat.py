"""CVAT, by cvat-sdk 2: makes a task with images and proposals, and fetches what was answered.

It does not say of an image whether somebody looked at it: an image counts as answered when the job that it belongs to
was set to completed, so jobs are short.
"""

from __future__ import annotations

import json
import sys
import zipfile
from pathlib import Path
from typing import Any

FORMAT = "CVAT 1.1"
EXPORT = "CVAT for images 1.1"
JOB = 25
"""Images of one job."""
DONE = "completed"
MAX_XML = 2 * 1024**3
"""Bytes; the server may not fill our disk with a small archive."""
CHUNK = 1 << 20


def push(client: Any, wish: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Make a task of the images, in order of their names, with the proposals of ``proposals.xml``."""
    from cvat_sdk.core.proxies.tasks import ResourceType

    images = sorted((folder / "images").rglob("*.jpg"))
    task = client.tasks.create_from_data(
        spec={
            "name": wish["title"],
            "labels": json.loads((folder / "labels.json").read_text("utf-8")),
            "segment_size": JOB,
        },
        resource_type=ResourceType.LOCAL,
        resources=[str(path) for path in images],
        data_params={"image_quality": 95, "sorting_method": "predefined"},
    )
    task.import_annotations(FORMAT, folder / "proposals.xml")
    return {"project": str(task.id), "tasks": len(images)}


def pull(client: Any, wish: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Write the annotations of the task to ``annotations.xml``, the images of completed jobs to ``answered.json``."""
    archive = folder / "export.zip"
    task = client.tasks.retrieve(int(wish["project"]))
    answered = _answered(task)
    (folder / "answered.json").write_text(json.dumps(answered), "utf-8")
    task.export_dataset(EXPORT, archive, include_images=False)
    with zipfile.ZipFile(archive) as opened:
        name = next(n for n in opened.namelist() if n.endswith(".xml"))
        (folder / "annotations.xml").write_bytes(opened.read(name))
    return {"tasks": len(answered)}


def _answered(task: Any) -> list[str]:
    """Return the names of the images in completed jobs: asked before the export, so that none is there too early."""
    names = [frame.name for frame in task.get_frames_info()]
    done = [job for job in task.get_jobs() if str(job.state) == DONE]
    return [name for job in done for name in names[job.start_frame : job.stop_frame + 1]]


def main() -> None:
    """Do what standard input says."""
    wish = json.load(sys.stdin)
    try:
        from cvat_sdk.core.client import AccessTokenCredentials, Client, Config

        with Client(url=wish["url"], config=Config(status_check_period=1)) as client:
            client.login(AccessTokenCredentials(wish["token"]))
            answer = {"push": push, "pull": pull}[wish["verb"]](client, wish, Path(wish["folder"]))
    except Exception as error:  # noqa: BLE001 - the boundary of this process: whatever it is, our side tells it
        answer = {"error": f"{type(error).__name__}: {error}"}
    print(json.dumps(answer))


if __name__ == "__main__":
    main()
