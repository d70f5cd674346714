"""Work in the background: the queue, logs, stopping, trying again."""

from __future__ import annotations

from central.annotate.client.base import Connection
from central.api import schemas as s


class Jobs(Connection):
    """What the centre has done beside. Everything raises ClientError."""

    def jobs(self, chores: bool = False, limit: int = 50) -> s.JobsView:
        """Return the queue in its order, what runs, and the last `limit` (at most `MAX_PAGE`) that are over; with
        `chores`, also what the centre did by itself."""
        return self._view(s.JobsView, "GET", "/jobs", chores=chores, limit=limit)

    def job(self, job: str) -> s.JobView:
        """Return one job."""
        return self._view(s.JobView, "GET", f"/jobs/{job}")

    def job_log(self, job: str) -> str:
        """Return the end of what a job printed."""
        return self._view(s.JobLogView, "GET", f"/jobs/{job}/log").text

    def start_backlog(self, backlog: s.BacklogBody | None = None) -> s.JobView:
        """Have a pack, the released one where none is named, propose on waiting frames that it has not looked at.
        ClientError ``busy`` while it is at it, ``no_pack`` where none is released."""
        return self._view(s.JobView, "POST", "/jobs/backlog", backlog or s.BacklogBody())

    def cancel_job(self, job: str) -> s.JobView:
        """Take a job out of the queue, or stop it. ClientError ``over`` where there is nothing to stop."""
        return self._view(s.JobView, "POST", f"/jobs/{job}/cancel")

    def retry_job(self, job: str) -> s.JobView:
        """Queue a job that failed or was cancelled once more. ClientError ``not_over`` where it was neither."""
        return self._view(s.JobView, "POST", f"/jobs/{job}/retry")
