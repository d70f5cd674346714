"""CVAT, by cvat-sdk 2: makes a task with images and proposals, and fetches what was answered."""

from __future__ import annotations

import json
import sys
import zipfile
from pathlib import Path
from typing import Any

FORMAT = "CVAT 1.1"
EXPORT = "CVAT for images 1.1"
MAX_XML = 2 * 1024**3
"""Bytes; the server may not fill our disk with a small archive."""
CHUNK = 1 << 20


def push(client: Any, wish: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Make a task of the images, in order of their names, with the proposals of ``proposals.xml``."""
    from cvat_sdk.core.proxies.tasks import ResourceType

    images = sorted((folder / "images").rglob("*.jpg"))
    task = client.tasks.create_from_data(
        spec={"name": wish["title"], "labels": json.loads((folder / "labels.json").read_text("utf-8"))},
        resource_type=ResourceType.LOCAL,
        resources=[str(path) for path in images],
        data_params={"image_quality": 95, "sorting_method": "predefined"},
    )
    task.import_annotations(FORMAT, folder / "proposals.xml")
    return {"project": str(task.id), "tasks": len(images)}


def pull(client: Any, wish: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Write the annotations of the task to ``annotations.xml``."""
    archive = folder / "export.zip"
    client.tasks.retrieve(int(wish["project"])).export_dataset(EXPORT, archive, include_images=False)
    with zipfile.ZipFile(archive) as opened:
        name = next(n for n in opened.namelist() if n.endswith(".xml"))
        if opened.getinfo(name).file_size > MAX_XML:
            raise ValueError(f"the export has more than {MAX_XML} bytes")
        count = 0
        with opened.open(name) as source, (folder / "annotations.xml").open("wb") as out:
            for line in iter(lambda: source.readline(CHUNK), b""):
                out.write(line)
                count += line.count(b"<image ")
    return {"tasks": count}


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
