"""What it costs to keep images on S3 in place of a folder: images per second, requests per image, time to read one.

    python -m benchmarks.blobs [--images 512] [--bytes 60000] [--url 's3://BUCKET/PREFIX?endpoint=...'] [--json]

Batches as ingest makes them (64 images, four under way) are kept in a local folder, on S3 as the centre does (one
object per batch), and on S3 as one object per image, in turns, in one run; each of them is durable when it is counted.
Without `--url`, an OpenStack Swift is started on this machine (from the development extra): then store and centre share
its cores and its disk, and the figures are those of that.

`ratio` is S3 over the folder, `gain` S3 in batches over S3 by image; `requests` are counted by a proxy, in a run of
their own that is not timed.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import random
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, Final

from benchmarks.common import main, parser
from central.ingest.consumer import LANES, SHARE
from central.store import blobs as blob_store
from central.store.blobs import Blobs
from tests.servers.meddler import meddling
from tests.servers.s3 import S3

TURNS: Final = 3
READS: Final = 40
COUNTED: Final = 64
"""Images of the run whose requests are counted."""

Items = list[tuple[str, bytes]]
Keep = Callable[[Items], Awaitable[list[str]]]


def images(count: int, size: int, name: str) -> Items:
    """Return wanted keys and contents, each its own."""
    drawn = random.Random(name)
    common = drawn.randbytes(size)
    return [(f"frames/{name}/{n}.jpg", n.to_bytes(8, "big") + common[8:]) for n in range(count)]


async def kept(keep: Keep, items: Items) -> tuple[float, list[str]]:
    """Keep `items` as ingest does; return seconds and keys."""
    batches = [items[at : at + SHARE] for at in range(0, len(items), SHARE)]
    lanes = asyncio.Semaphore(LANES)
    keys: list[str] = []

    async def one(batch: Items) -> None:
        async with lanes:
            keys.extend(await keep(batch))

    began = time.perf_counter()
    await asyncio.gather(*map(one, batches))
    return time.perf_counter() - began, keys


def singly(store: Blobs) -> Keep:
    """Return what stores each image as an object of its own."""

    async def keep(items: Items) -> list[str]:
        await store.put(items)
        return [key for key, _ in items]

    return keep


async def read_ms(store: Blobs, keys: list[str]) -> list[float]:
    """Return the milliseconds of reading images, drawn, one after the other."""
    taken = []
    for key in random.Random(1).choices(keys, k=READS):
        began = time.perf_counter()
        await store.read(key)
        taken.append(1000 * (time.perf_counter() - began))
    return taken


async def measure(folder: Blobs, far: Blobs, count: int, size: int) -> dict[str, Any]:
    """Return images per second and milliseconds of a read, by place."""
    ways: dict[str, tuple[Keep, Blobs]] = {
        "folder": (folder.keep, folder), "s3": (far.keep, far), "s3_single": (singly(far), far),
    }  # fmt: skip
    rates: dict[str, list[float]] = {name: [] for name in ways}
    keys: dict[str, list[str]] = {}
    for turn in range(TURNS):
        for name, (keep, _) in ways.items():
            part = count // TURNS if name != "s3_single" else max(SHARE, count // TURNS // 4)
            seconds, keys[name] = await kept(keep, images(part, size, f"{name}-{turn}"))
            rates[name].append(part / seconds)
    found: dict[str, Any] = {}
    for name, (_, store) in ways.items():
        taken = sorted(await read_ms(store, keys[name]))
        rate = statistics.median(rates[name])
        found[name] = {
            "images_per_s": round(rate, 1), "mib_per_s": round(rate * size / (1 << 20), 2),
            "read_p50_ms": round(statistics.median(taken), 2), "read_p95_ms": round(taken[int(0.95 * READS)], 2),
        }  # fmt: skip
    return found


async def requests(server: S3, folder: Path, bucket: str, size: int) -> dict[str, float]:
    """Return requests per image of what is kept, by way."""
    found = {}
    with meddling(server.ports["proxy"]) as proxy:
        store = blob_store.connect(server.url(bucket, "counted", proxy.endpoint), folder)
        for name, keep in (("s3", store.keep), ("s3_single", singly(store))):
            before = len(proxy.asked)
            await kept(keep, images(COUNTED, size, f"counted-{name}"))
            found[name] = (len(proxy.asked) - before) / COUNTED
    return found


@contextlib.contextmanager
def served() -> Iterator[tuple[S3, str]]:
    """Yield a server of our own and a bucket; its keys are in the environment."""
    server = S3.start()
    try:
        os.environ.update(server.environment)
        yield server, server.create()
    finally:
        server.close()


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Measure."""
    count, size = arguments.images, arguments.bytes
    with contextlib.ExitStack() as held:
        tmp = Path(held.enter_context(tempfile.TemporaryDirectory(prefix="wayside-blobs-")))
        asked: dict[str, float] = {}
        if arguments.url:
            url = arguments.url
        else:
            server, bucket = held.enter_context(served())
            url = server.url(bucket)
            asked = asyncio.run(requests(server, tmp / "none", bucket, size))
        folder, far = blob_store.connect(None, tmp / "blobs"), blob_store.connect(url, tmp / "none")
        found = asyncio.run(measure(folder, far, count, size))
        folder.close()
    for name, each in asked.items():
        found[name]["requests_per_image"] = each
    rates = {name: each["images_per_s"] for name, each in found.items()}
    ratio, gain = rates["s3"] / rates["folder"], rates["s3"] / rates["s3_single"]
    return {"images": count, "bytes": size, "ratio": round(ratio, 3), "gain": round(gain, 2), **found}


def arguments() -> argparse.ArgumentParser:
    """Return the options."""
    made = parser(__doc__ or "", images=False)
    made.add_argument("--images", type=int, default=512, help="images to keep in each place")
    made.add_argument("--bytes", type=int, default=60_000, help="bytes of an image")
    made.add_argument("--url", default="", help="a store that is there; its keys in the environment")
    return made


if __name__ == "__main__":
    main(run, arguments())
