"""Label Studio, by label-studio-sdk 2: makes a project with tasks, and fetches what was answered.

Images travel inside of the tasks, so that the server has to fetch nothing from anywhere.
"""

from __future__ import annotations

import base64
import json
import sys
from pathlib import Path
from typing import Any

BATCH = 50
"""Tasks in one request: some 10 MB of images."""


def push(client: Any, wish: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Make a project and put the tasks of ``tasks.json`` into it."""
    project = client.projects.create(title=wish["title"], label_config=(folder / "config.xml").read_text("utf-8"))
    tasks = json.loads((folder / "tasks.json").read_text("utf-8"))
    for start in range(0, len(tasks), BATCH):
        batch = tasks[start : start + BATCH]
        for task in batch:
            image = (folder / "images" / task["data"]["name"]).read_bytes()
            task["data"]["image"] = "data:image/jpeg;base64," + base64.b64encode(image).decode()
            task.pop("id", None)
        client.projects.import_tasks(id=project.id, request=batch)
    return {"project": str(project.id), "tasks": len(tasks)}


def pull(client: Any, wish: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Write every task of the project that somebody answered to ``tasks.json``, without its image."""
    count = 0
    with (folder / "tasks.json").open("w", encoding="utf-8") as out:
        out.write("[")
        for task in client.tasks.list(project=int(wish["project"]), fields="all", page_size=BATCH):
            plain = json.loads(task.json()) if hasattr(task, "json") else dict(task)
            if plain.get("annotations"):
                plain["data"].pop("image", None)
                kept = {key: plain.get(key) or [] for key in ("annotations", "predictions")}
                out.write((",\n" if count else "\n") + json.dumps({"data": plain["data"]} | kept))
                count += 1
        out.write("\n]\n")
    return {"tasks": count}


def main() -> None:
    """Do what standard input says."""
    wish = json.load(sys.stdin)
    try:
        from label_studio_sdk.client import LabelStudio

        client = LabelStudio(base_url=wish["url"], api_key=wish["token"])
        answer = {"push": push, "pull": pull}[wish["verb"]](client, wish, Path(wish["folder"]))
    except Exception as error:  # noqa: BLE001 - the boundary of this process: whatever it is, our side tells it
        answer = {"error": f"{type(error).__name__}: {error}"}
    print(json.dumps(answer))


if __name__ == "__main__":
    main()
