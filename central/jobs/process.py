"""Jobs as processes of this machine: the queue without a cluster."""

from __future__ import annotations

from central.jobs.queue import JobQueue
from central.jobs.rows import INTERRUPTED

__all__ = ["INTERRUPTED", "ProcessJobs"]
ProcessJobs = JobQueue
