"""What machines a number of cameras needs, computed from what was measured, and what runs out first.

    python -m benchmarks.sizing [--cameras 10 100 1000] [--frames-per-hour 60] [--days 30] --json

`Costs` are figures of `benchmarks.swarm`, `benchmarks.ingest` and `benchmarks.million` as docs/sizing.md gives them,
with their commands; nothing here is measured. For each size: what comes in, what each part has to do, how many of it
are needed at `FULL` of their capacity, and the part that is nearest to its end, which is the bottleneck.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass, fields
from math import ceil
from typing import Any, Final

SIZES: Final = (10, 100, 1_000, 10_000, 100_000)
CAMERAS_PER_NODE: Final = 4
HEALTH_S: Final = 30.0
"""Between two health messages of a node."""
FULL: Final = 0.6
"""Share of a capacity that is planned with: the rest is for a broker's restart, a slow hour, what was not measured."""
SINGLE: Final = 1.0
"""Cores that a part of one thread can use."""
DATABASE_CORES: Final = 32
"""Assumed, of the machine that PostgreSQL has to itself."""
SYNCS_PER_S: Final = 5_000.0
"""Assumed: commits that a server's disk syncs in a second."""
NETWORK_BITS: Final = 10e9
"""Assumed, of the broker's machine."""
GB: Final = 1e9


@dataclass(frozen=True)
class Costs:
    """Measured on one 2-core machine; microseconds are of one of its cores."""

    frame_broker_us: float = 32.0
    frame_ingest_us: float = 270.0
    frame_database_us: float = 95.0
    health_broker_us: float = 90.0
    health_centre_us: float = 870.0
    health_database_us: float = 160.0
    batch_frames: float = 16.0
    """Frames in one commit when many come."""
    broker_node_bytes: float = 6_200.0
    """Memory of the broker for a connection."""
    centre_bytes: float = 450e6
    """Memory of a centre that has nothing to do."""
    index_bytes: float = 1_200.0
    """Memory of a server's search for a frame."""
    database_frame_bytes: float = 4_770.0
    """Tables and indices for a frame with ten boxes, three in ten answered."""
    image_bytes: float = 60_000.0
    node_wire_bytes_h: float = 54_000.0
    """To and from the broker, of a node that sends no frame."""


@dataclass(frozen=True)
class Demand:
    """What a number of cameras does."""

    cameras: int
    frames_per_hour: float
    """Of a node, as its policy says."""
    days: int
    """That frames are kept."""

    @property
    def nodes(self) -> int:
        """Edge computers."""
        return ceil(self.cameras / CAMERAS_PER_NODE)

    @property
    def frames_per_s(self) -> float:
        """Of all nodes together."""
        return self.nodes * self.frames_per_hour / 3600.0

    @property
    def health_per_s(self) -> float:
        """Health messages of all nodes."""
        return self.nodes / HEALTH_S

    @property
    def stored(self) -> float:
        """Frames that are kept once the time is full."""
        return self.frames_per_s * 86_400.0 * self.days


@dataclass(frozen=True)
class Parts:
    """How many of each part's capacities are used: 1 is one broker, one core, one machine, one disk."""

    broker: float
    """Mosquitto is one thread."""
    presence: float
    """One server notes who is there and how it fares; several share it."""
    ingest: float
    """Processes that take frames in, one core each."""
    database: float
    """A machine of DATABASE_CORES cores."""
    syncs: float
    network: float
    """Of the machine that the broker is on: frames go in and out."""


def used(demand: Demand, costs: Costs) -> Parts:
    """Return what `demand` uses of each part."""
    frames, health = demand.frames_per_s, demand.health_per_s
    wire = 2 * frames * costs.image_bytes + demand.nodes * costs.node_wire_bytes_h / 3600.0
    return Parts(
        broker=1e-6 * (frames * costs.frame_broker_us + health * costs.health_broker_us) / SINGLE,
        presence=1e-6 * health * costs.health_centre_us / SINGLE,
        ingest=1e-6 * frames * costs.frame_ingest_us / SINGLE,
        database=1e-6 * (frames * costs.frame_database_us + health * costs.health_database_us) / DATABASE_CORES,
        syncs=frames / costs.batch_frames / SYNCS_PER_S,
        network=8 * wire / NETWORK_BITS,
    )


def memory_gb(demand: Demand, costs: Costs) -> dict[str, float]:
    """Return what each part has to hold in memory."""
    return {
        "broker": demand.nodes * costs.broker_node_bytes / GB,
        "server": (costs.centre_bytes + demand.stored * costs.index_bytes) / GB,
    }


def disks_gb(demand: Demand, costs: Costs) -> dict[str, float]:
    """Return what is on disks once frames have been kept for so many days as they may be."""
    return {
        "database": demand.stored * costs.database_frame_bytes / GB,
        "images": demand.stored * costs.image_bytes / GB,
    }


MOST_MEMORY_GB: Final = 64.0
"""Of one server, for the search over all frames; beyond it, search is what ends first."""


def nearest(parts: Parts, memory: dict[str, float]) -> list[tuple[str, float]]:
    """Return every part with how near it is to the end of one of its kind, the nearest first: that one is the
    bottleneck, and the next one what comes after it was widened."""
    shares = {f.name: float(getattr(parts, f.name)) for f in fields(parts)}
    shares["search"] = memory["server"] / MOST_MEMORY_GB
    return sorted(shares.items(), key=lambda each: -each[1])


def row(demand: Demand, costs: Costs) -> dict[str, Any]:
    """Return one line of the table."""
    parts, memory, disks = used(demand, costs), memory_gb(demand, costs), disks_gb(demand, costs)
    first, second = nearest(parts, memory)[:2]
    cores = parts.broker + parts.presence + parts.ingest + parts.database * DATABASE_CORES
    return {
        "cameras": demand.cameras, "nodes": demand.nodes, "frames_per_s": round(demand.frames_per_s, 2),
        "health_per_s": round(demand.health_per_s, 1), "frames_kept": round(demand.stored),
        "cores": max(2, ceil(cores / FULL)), "brokers": max(1, ceil(parts.broker / FULL)),
        "servers": max(1, ceil(parts.presence / FULL)), "ingest_processes": max(1, ceil(parts.ingest / FULL)),
        "database_cores": max(1, ceil(parts.database * DATABASE_CORES / FULL)),
        "memory_gb": {part: round(value, 2) for part, value in memory.items()},
        "disk_gb": {part: round(value, 1) for part, value in disks.items()},
        "network_mbit": round(parts.network * NETWORK_BITS / 1e6, 1),
        "bottleneck": first[0], "bottleneck_share": round(first[1], 4),
        "then": second[0], "then_share": round(second[1], 4),
    }  # fmt: skip


def table(cameras: Sequence[int], frames_per_hour: float, days: int) -> list[dict[str, Any]]:
    """Return a line for each number of cameras."""
    return [row(Demand(count, frames_per_hour, days), Costs()) for count in cameras]


def markdown(rows: list[dict[str, Any]]) -> str:
    """Return the table as documents have it."""
    heads = (
        "cameras", "nodes", "frames/s", "health/s", "cores in all", "brokers", "servers", "ingest processes",
        "database cores", "memory of a server", "database on disk", "images", "network", "bottleneck (share of one)",
        "then",
    )  # fmt: skip
    lines = ["| " + " | ".join(heads) + " |", "|" + " --- |" * len(heads)]
    for each in rows:
        cells = (
            f"{each['cameras']:,}", f"{each['nodes']:,}", f"{each['frames_per_s']:g}", f"{each['health_per_s']:g}",
            each["cores"], each["brokers"], each["servers"], each["ingest_processes"], each["database_cores"],
            f"{each['memory_gb']['server']:.1f} GB", f"{each['disk_gb']['database']:,.0f} GB",
            f"{each['disk_gb']['images']:,.0f} GB", f"{each['network_mbit']:,.1f} Mbit/s",
            f"{each['bottleneck']} ({each['bottleneck_share']:.2g})", f"{each['then']} ({each['then_share']:.2g})",
        )  # fmt: skip
        lines.append("| " + " | ".join(map(str, cells)) + " |")
    return "\n".join(lines)


def main() -> int:
    """Parse, compute, print."""
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--cameras", type=int, nargs="+", default=list(SIZES))
    made.add_argument("--frames-per-hour", type=float, default=60.0, help="of each node, as its policy says")
    made.add_argument("--days", type=int, default=30, help="that frames are kept")
    made.add_argument("--json", action="store_true", help="nothing but the JSON line on standard output")
    given = made.parse_args()
    if min(given.cameras) < 1 or given.frames_per_hour < 0 or given.days < 1:
        print("sizing: --cameras and --days from 1, --frames-per-hour from 0", file=sys.stderr)
        return 2
    rows = table(given.cameras, given.frames_per_hour, given.days)
    if not given.json:
        print(markdown(rows))
    print(json.dumps({"rows": rows}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
