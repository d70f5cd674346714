"""The node's numbers for Prometheus, named ``wayside_noun_unit{camera=...}``."""

from __future__ import annotations

from collections.abc import Mapping

from edge.camera import Camera
from edge.link import Link
from edge.metrics import Sample
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
        Sample("wayside_link_dropped_messages", "Small messages given up", link.counters.dropped, counter=True),
    ]
    for name, camera in cameras.items():
        m = camera.meter
        found += [
            Sample("wayside_camera_frames", "Frames assessed", m.frames, name, counter=True),
            Sample("wayside_camera_selected_frames", "Frames selected", m.selected, name, counter=True),
            Sample(
                "wayside_camera_overtaken_frames",
                "Selected, but the disk was too slow",
                m.overtaken,
                name,
                counter=True,
            ),
            Sample("wayside_camera_faults", "Frames that could not be assessed", m.faults, name, counter=True),
            Sample("wayside_camera_fps", "Frames per second", m.fps, name),
        ]
    return found
