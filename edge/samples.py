"""The node's numbers for Prometheus, named ``wayside_noun_unit{camera=...}``."""

from __future__ import annotations

from collections.abc import Mapping

from edge.camera import Camera
from edge.link import Link
from edge.metrics import Sample, percentile, temperature
from edge.spool import Spool


def samples(spool: Spool, link: Link, cameras: Mapping[str, Camera]) -> list[Sample]:
    """Return what the node counts now."""
    c = spool.counters
    found = [
        Sample("wayside_spool_frames", "Frames waiting for their receipt", len(spool)),
        Sample("wayside_spool_bytes", "Bytes waiting for their receipt", spool.size_bytes),
        Sample("wayside_spool_evicted_frames", "Frames given up for better ones", c.evicted, counter=True),
        Sample("wayside_spool_failed_frames", "Frames that the disk refused", c.failed, counter=True),
        Sample("wayside_spool_damaged_frames", "Records put aside", c.damaged, counter=True),
        Sample("wayside_spool_expired_frames", "Of the evicted, those that were too old", c.expired, counter=True),
        Sample("wayside_spool_parked_frames", "Frames put aside as refused for good", c.parked, counter=True),
        Sample("wayside_spool_locked_frames", "Frames that wait for another key", spool.locked),
        Sample("wayside_receipted_frames", "Frames durably stored at the centre", c.receipted, counter=True),
        Sample("wayside_link_connected", "1 while connected to the broker", float(link.connected)),
        Sample("wayside_link_resent_frames", "Frames sent again", link.window.resent, counter=True),
        Sample("wayside_link_refused_messages", "Refused by the broker", link.counters.refused, counter=True),
        Sample("wayside_link_dropped_messages", "Small messages given up", link.counters.dropped, counter=True),
    ]
    celsius = temperature()
    if celsius is not None:
        found.append(Sample("wayside_node_temperature_celsius", "Hottest sensor of the machine", celsius))
    for name, camera in cameras.items():
        found += _of_camera(name, camera)
    return found


def _of_camera(name: str, camera: Camera) -> list[Sample]:
    meter, reader = camera.meter, camera.reader
    counters = {
        "frames": ("Frames assessed", meter.frames),
        "selected_frames": ("Frames selected", meter.selected),
        "dropped_frames": ("Frames that a newer one overtook before they were assessed", reader.dropped),
        "overtaken_frames": ("Selected, but the disk was too slow", meter.overtaken),
        "faults": ("Frames that could not be assessed", meter.faults),
    }
    latencies = list(meter.latencies)
    gauges = {
        "up": ("1 while the camera is watched", float(reader.state == "watching")),
        "fps": ("Frames per second, over the last health interval", meter.fps),
        "latency_p50_seconds": ("From capture to decision, median of late", percentile(latencies, 0.5)),
        "latency_p95_seconds": ("From capture to decision, 95th percentile of late", percentile(latencies, 0.95)),
        "alerts": ("Alerts that stand", float(len(camera.alerts.standing))),
    }
    return [
        *(Sample(f"wayside_camera_{key}", text, n, name, counter=True) for key, (text, n) in counters.items()),
        *(Sample(f"wayside_camera_{key}", text, n, name) for key, (text, n) in gauges.items()),
    ]
