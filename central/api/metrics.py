"""What Prometheus is told: one scrape, one view of the database, and what this process counted since it started.

Names follow its conventions: ``wayside_``, base units (seconds, bytes), ``_total`` for what only grows. What comes from
the database is the same at every server of a centre, so that any of them may be scraped for it; what a process counts
(``wayside_ingest_``, ``wayside_receipt_``, ``wayside_broker_``, ``wayside_http_``) is its own, to be summed.
"""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

import structlog
from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector
from sqlalchemy import func, select, text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from central.api import requests
from central.api.context import Centre
from central.api.stored import Stored
from central.ingest.consumer import RECEIPT_S
from central.jobs.rows import LIVE
from central.store.models import Camera, Deletion, DeletionRun, Duty, Frame, Job, Node, Round, Server, Setting
from central.store.retention.run import LAST
from central.store.usage import Camera as Used
from edge import __version__

log = structlog.get_logger("central.api.metrics")

PREFIX: Final = "wayside_"
STATES: Final = ("online", "stopped", "offline")
OVER: Final = ("done", "failed")
INGEST: Final = {
    "frames": "Frames stored for the first time.",
    "bytes": "Bytes of images stored for the first time.",
    "duplicates": "Frames that were stored already, and acknowledged again.",
    "refused": "Frames that are not what they say, or cannot be stored.",
    "malformed": "Other messages that are none of their channel.",
    "failed": "Times that the store failed as a whole; nodes send again.",
    "parked": "Refused messages that were put aside with their reason.",
    "shut_out": "Messages of nodes that were revoked.",
}
LINK: Final = {
    "received": "Messages received from the broker.",
    "received_bytes": "Bytes received from the broker.",
    "published": "Messages published.",
    "refused": "Messages not published: no connection, or too much under way.",
    "dropped": "Messages dropped because this process was behind for too long.",
    "connects": "Connections to the broker that were made.",
}


@dataclass(frozen=True)
class Traffic:
    """What a server counted: of its own process and of each worker, and of its link to the broker."""

    ingest: Sequence[Mapping[str, Any]] = ()
    link: Mapping[str, int] = field(default_factory=dict)


@dataclass
class Rows:
    """What one look at the database found."""

    nodes: list[tuple[Node, Camera | None]]
    jobs: list[tuple[str, str, int]]
    oldest_job: datetime | None
    oldest_frame: datetime | None
    rounds: dict[str, int]
    running: int
    round_at: datetime | None
    runs: int
    deleted: dict[str, tuple[int, int]]
    unerased: int
    last: Mapping[str, Any] | None
    servers: int
    duties: list[tuple[str, bool]]
    size: int
    seconds: float = 0.0


def _rows(session: Session) -> Rows:
    began = time.perf_counter()
    nodes = select(Node, Camera).outerjoin(Camera, Camera.node == Node.name).order_by(Node.name, Camera.name)
    jobs = select(Job.kind, Job.state, func.count()).group_by(Job.kind, Job.state)
    deleted = select(Deletion.kind, func.count(), func.sum(Deletion.size_bytes)).group_by(Deletion.kind)
    last = session.get(Setting, LAST)
    states = select(Round.state, func.count()).group_by(Round.state)
    rounds = {str(state): int(n) for state, n in session.execute(states)}
    waits = select(Frame.received_at).where(Frame.state == "pending").order_by(Frame.id).limit(1)
    return Rows(
        nodes=[(node, camera) for node, camera in session.execute(nodes)],
        jobs=[(kind, state, n) for kind, state, n in session.execute(jobs)],
        oldest_job=session.scalar(select(func.min(Job.created)).where(Job.state == "queued")),
        oldest_frame=session.scalar(waits),
        rounds=rounds,
        running=sum(n for state, n in rounds.items() if state not in OVER),
        round_at=session.scalar(select(func.max(Round.finished)).where(Round.state == "done")),
        runs=int(session.scalar(select(func.count()).where(DeletionRun.hash != "")) or 0),
        deleted={str(kind): (int(n), int(size or 0)) for kind, n, size in session.execute(deleted)},
        unerased=int(session.scalar(select(func.count()).where(Deletion.erased.is_(False))) or 0),
        last=None if last is None else last.value,
        servers=int(session.scalar(select(func.count()).select_from(Server)) or 0),
        duties=[(name, holder != "") for name, holder in session.execute(select(Duty.name, Duty.holder))],
        size=_size(session),
        seconds=time.perf_counter() - began,
    )


def _size(session: Session) -> int:
    """Return the bytes of the database."""
    if session.get_bind().dialect.name == "postgresql":
        return int(session.scalar(text("SELECT pg_database_size(current_database())")) or 0)
    pages, size = (session.scalar(text(f"PRAGMA {name}")) for name in ("page_count", "page_size"))
    return int(pages or 0) * int(size or 0)


def _gauge(name: str, about: str, value: float | None = None) -> GaugeMetricFamily:
    return GaugeMetricFamily(PREFIX + name, about, value=value)


def _labelled(name: str, about: str, labels: Sequence[str], values: Iterable[tuple[Sequence[str], float]]) -> Metric:
    family = GaugeMetricFamily(PREFIX + name, about, labels=labels)
    for own, value in values:
        family.add_metric(own, value)
    return family


def _counted(name: str, about: str, labels: Sequence[str], values: Iterable[tuple[Sequence[str], float]]) -> Metric:
    family = CounterMetricFamily(PREFIX + name, about, labels=labels)
    for own, value in values:
        family.add_metric(own, value)
    return family


def _times(bounds: Sequence[float], counts: Sequence[int]) -> list[tuple[str, float]]:
    """Return counts per bucket as Prometheus has them: each with all below it."""
    below, found = 0, []
    for bound, count in zip([*map(str, bounds), "+Inf"], counts, strict=True):
        below += count
        found.append((bound, float(below)))
    return found


def fleet(rows: Rows) -> Iterator[Metric]:
    """Yield what is known of nodes and cameras."""
    nodes = list({node.name: node for node, _ in rows.nodes}.values())
    cameras = [(node, camera) for node, camera in rows.nodes if camera is not None]
    yield _labelled("nodes", "Nodes by state.", ["state"], [([s], sum(n.state == s for n in nodes)) for s in STATES])
    per_node: dict[str, tuple[str, Callable[[Node], float]]] = {
        "node_online": ("1 while the node is online.", lambda n: float(n.state == "online")),
        "node_last_seen_timestamp_seconds": ("When anything came from the node.", lambda n: n.last_seen.timestamp()),
        "node_spool_frames": ("Frames that wait on the node.", lambda n: n.spool_frames),
        "node_spool_bytes": ("Bytes that wait on the node.", lambda n: n.spool_bytes),
        "node_spool_quota_bytes": ("Bytes that may wait on the node.", lambda n: n.spool_quota_bytes),
    }
    for name, (about, value) in per_node.items():
        yield _labelled(name, about, ["node", "site"], [([n.name, n.site], value(n)) for n in nodes])
    hot = [([n.name, n.site], n.temperature_c) for n in nodes if n.temperature_c is not None]
    yield _labelled("node_temperature_celsius", "Temperature of the node.", ["node", "site"], hot)
    dropped = [([n.name, n.site], n.evicted) for n in nodes]
    yield _labelled("node_evicted_frames", "Frames that the node dropped for room.", ["node", "site"], dropped)
    of_camera: dict[str, tuple[str, Callable[[Camera], float]]] = {
        "camera_watching": ("1 while frames come from the camera.", lambda c: c.health.get("state") == "watching"),
        "camera_fps": ("Frames assessed per second.", lambda c: c.health.get("fps", 0.0)),
        "camera_latency_p95_seconds": (
            "From capture to decision.", lambda c: c.health.get("latency_p95_ms", 0.0) / 1000
        ),
    }  # fmt: skip
    for name, (about, measure) in of_camera.items():
        found = [([n.name, c.name], float(measure(c))) for n, c in cameras]
        yield _labelled(name, about, ["node", "camera"], found)
    newest = [([n.name, c.name], c.last_frame_at.timestamp()) for n, c in cameras if c.last_frame_at is not None]
    about = "Capture time of the newest stored frame."
    yield _labelled("camera_last_frame_timestamp_seconds", about, ["node", "camera"], newest)


def work(rows: Rows, now: float) -> Iterator[Metric]:
    """Yield what is known of queue, jobs, rounds, servers and retention."""
    oldest = 0.0 if rows.oldest_frame is None else max(0.0, now - rows.oldest_frame.timestamp())
    yield _gauge("queue_oldest_age_seconds", "Age of the frame that waits longest for a person.", oldest)
    waits = 0.0 if rows.oldest_job is None else max(0.0, now - rows.oldest_job.timestamp())
    yield _labelled("jobs", "Jobs by kind and state.", ["kind", "state"], [([k, s], n) for k, s, n in rows.jobs])
    live = sum(n for _, state, n in rows.jobs if state in LIVE)
    yield _gauge("jobs_unfinished", "Jobs that wait or run.", live)
    yield _gauge("jobs_oldest_queued_age_seconds", "Age of the job that waits longest.", waits)
    yield _gauge("rounds", "Rounds so far.", sum(rows.rounds.values()))
    yield _gauge("rounds_failed", "Rounds that failed.", rows.rounds.get("failed", 0))
    yield _gauge("rounds_running", "Rounds under way.", rows.running)
    done = 0.0 if rows.round_at is None else rows.round_at.timestamp()
    yield _gauge("round_last_success_timestamp_seconds", "When a round was done last; 0: never.", done)
    yield _gauge("servers", "Servers of this centre; 0 where its database is a file.", rows.servers)
    yield _labelled("duty_held", "1 while a server does this for all.", ["duty"], [([d], h) for d, h in rows.duties])
    yield from _retention(rows)


def _retention(rows: Rows) -> Iterator[Metric]:
    yield _counted("retention_runs", "Sealed runs that deleted something.", [], [([], rows.runs)])
    items = [([kind], count) for kind, (count, _) in rows.deleted.items()]
    yield _counted("retention_deleted_items", "What rules deleted, by kind.", ["kind"], items)
    size = sum(size for _, size in rows.deleted.values())
    yield _counted("retention_deleted_bytes", "Bytes of images that rules deleted.", [], [([], size)])
    yield _gauge("retention_unerased_items", "Deleted frames whose image is not gone yet.", rows.unerased)
    last = rows.last or {}
    kept = [([reason], float(count)) for reason, count in dict(last.get("kept", {})).items()]
    yield _labelled("retention_kept_frames", "Frames due that stay, by reason.", ["reason"], kept)
    at = datetime.fromisoformat(last["at"]).timestamp() if "at" in last else 0.0
    yield _gauge("retention_last_run_timestamp_seconds", "When rules were looked at last; 0: never.", at)


def storage(used: Sequence[Used], rows: Rows, free: tuple[int, int]) -> Iterator[Metric]:
    """Yield what is stored. `free` are free and all bytes of the disk with the data folder."""
    states = ("pending", "labelled", "skipped")
    counts = {s: sum(c.states[s].frames for c in used if s in c.states) for s in states}
    total = sum(c.all.frames for c in used)
    by_state = [*(([s], float(n)) for s, n in counts.items()), (["all"], float(total))]
    yield _labelled("frames_stored", "Frames by state.", ["state"], by_state)
    yield _gauge("queue_frames", "Frames that wait for a person.", counts["pending"])
    yield _gauge("frames_stored_bytes", "Bytes of all stored images.", sum(c.all.bytes for c in used))
    gone = rows.deleted.get("frame", (0, 0))[0]
    yield _counted("frames_received", "Frames ever stored, those deleted since included.", [], [([], total + gone)])
    yield _gauge("labels_confirmed", "Confirmed boxes.", sum(c.labels for c in used))
    labels = ["site", "node", "camera"]
    frames = [([c.site, c.node, c.camera], float(c.all.frames)) for c in used]
    sizes = [([c.site, c.node, c.camera], float(c.all.bytes)) for c in used]
    yield _labelled("camera_stored_frames", "Stored frames of the camera.", labels, frames)
    yield _labelled("camera_stored_bytes", "Bytes of the camera's stored images.", labels, sizes)
    yield _gauge("storage_free_bytes", "Free bytes of the disk with the data folder.", free[0])
    yield _gauge("storage_size_bytes", "Bytes of the disk with the data folder.", free[1])


def database(rows: Rows | None) -> Iterator[Metric]:
    """Yield how the database fares; None: it does not answer."""
    yield _gauge("database_up", "1 while the database answers.", float(rows is not None))
    if rows is not None:
        yield _gauge("database_size_bytes", "Bytes of the database.", rows.size)
        yield _gauge("database_scrape_seconds", "That the queries of this scrape took.", rows.seconds)


def traffic(found: Traffic, connected: bool) -> Iterator[Metric]:
    """Yield what this server counted of what nodes send, its workers included."""
    yield _gauge("broker_connected", "1 while this server is connected to the broker.", float(connected))
    for name, about in LINK.items():
        yield _counted(f"broker_{name}", about, [], [([], found.link.get(name, 0))])
    for name, about in INGEST.items():
        yield _counted(f"ingest_{name}", about, [], [([], sum(c.get(name, 0) for c in found.ingest))])
    waits = [c["receipt_waits"] for c in found.ingest if c.get("receipt_waits")]
    counts = [sum(each) for each in zip(*waits, strict=True)] or [0] * (len(RECEIPT_S) + 1)
    seconds = sum(c.get("receipt_seconds", 0.0) for c in found.ingest)
    about = "From the arrival of a frame to its receipt."
    family = HistogramMetricFamily(PREFIX + "receipt_seconds", about)
    family.add_metric([], _times(RECEIPT_S, counts), seconds)
    yield family


def http(served: requests.Served) -> Iterator[Metric]:
    """Yield how requests fared."""
    counts = [([m, route, str(status)], n) for (m, route, status), n in sorted(served.by_status.items())]
    yield _counted("http_requests", "Requests by method, route and status.", ["method", "route", "status"], counts)
    family = HistogramMetricFamily(PREFIX + "http_request_seconds", "Time to answer, by route.", labels=["route"])
    for route, times in sorted(served.times.items()):
        family.add_metric([route], _times(requests.BUCKETS, times.counts), times.seconds)
    yield family


class _Once(Collector):
    """Metrics that were collected already."""

    def __init__(self, found: list[Metric]) -> None:
        self._found = found

    def collect(self) -> Iterable[Metric]:
        """Return them."""
        return self._found


async def scrape(centre: Centre, served: requests.Served) -> bytes:
    """Return all metrics in the text format; where the database does not answer, those that need none."""
    found: list[Metric] = [InfoMetricFamily(PREFIX + "build", "The program.", value={"version": __version__})]
    rows: Rows | None = None
    try:
        rows = await centre.database.run_read(_rows)
        used = (await Stored.of(centre.database).get())[1]
        disk = await asyncio.to_thread(shutil.disk_usage, centre.settings.data)
        found += [*fleet(rows), *work(rows, time.time()), *storage(used, rows, (disk.free, disk.total))]
    except (SQLAlchemyError, OSError) as error:
        log.warning("metrics of the database are missing", reason=str(error)[:300])
    found += database(rows)
    told = getattr(centre.fleet, "traffic", None)
    found += traffic(told() if callable(told) else Traffic(), not centre.fleet.problems())
    found += http(served)
    registry = CollectorRegistry()
    registry.register(_Once(found))
    ProcessCollector(registry=registry)
    return generate_latest(registry)
