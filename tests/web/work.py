"""Jobs of the world: one of each fate. Another server has them, so that nobody begins or ends them here."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from central.store import models as db

ELSEWHERE: Final = "f" * 32
CLUSTER: Final = "ray://gpu-1:10001"
LOG: Final = "opened pack street-4\n12 800 of 20 000 frames\n"


def jobs(now: datetime) -> list[db.Base]:
    """Return what runs, waits, was done, failed and was cancelled."""

    def job(ident: str, state: str, minutes: float, **columns: object) -> db.Job:
        values = {
            "function": "central.jobs.backlog:run", "kind": "scoring", "server": ELSEWHERE, "max_attempts": 5,
            "created": now - timedelta(minutes=minutes), "by": "mara",
        } | columns  # fmt: skip
        if state != "queued":
            values["started"] = now - timedelta(minutes=minutes - 1)
        if state in ("done", "failed", "cancelled"):
            values["finished"] = now - timedelta(minutes=minutes / 2)
        return db.Job(id=f"{ident}-0000-4000-8000-000000000000", state=state, **values)

    return [
        job("0a1b2c3d", "running", 12, title="Backlog looked at by street-4", progress=0.64, attempts=2, place=CLUSTER,
            detail="12800 of 20000 frames, 118 per second", log=LOG),
        job("1a1b2c3d", "queued", 4, title="Backlog looked at by street-3"),
        job("2a1b2c3d", "queued", 3, title="Training of harbour cameras", kind="training", by=""),
        job("3a1b2c3d", "done", 90, title="Backlog looked at by street-2", progress=1.0, attempts=1,
            result={"frames": 9200, "changed": 9198, "boxes": 40112, "unreadable": 2, "per_s": 96.4}),
        job("4a1b2c3d", "failed", 200, title="Training of night cameras", kind="training", attempts=1, max_attempts=1,
            detail="truth.json: no labelled image in it", log="reading truth.json\nTraceback: no labelled image\n"),
        job("5a1b2c3d", "cancelled", 400, title="Backlog looked at by street-1", progress=0.3, detail="cancelled"),
    ]  # fmt: skip
