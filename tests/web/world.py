"""A centre with something to see, in a process of its own: real API, store and UI; nodes that only answer snapshots.

    python -m tests.web.world --data DIR --port N [--images DIR --coco FILE] [--frames N] [--empty] [--fleet]

Without images it draws frames of its own. Prints ``ready`` once it listens. Made for a browser to look at.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
import uvicorn

from central.annotate import profile
from central.api import passwords
from central.api.access import LoginGate
from central.api.app import create_app
from central.api.context import Centre, FleetError
from central.jobs.process import ProcessJobs
from central.link import BrokerAddress
from central.notify import Notifier
from central.releases import offers
from central.settings import Settings
from central.store import blobs, database, migrations
from central.store import models as db
from protocols import pack as packs
from protocols.messages import Reply, utc_now
from tests.web import fleet as fleets
from tests.web import places, together, work

NAME: Final = "admin"
PASSWORD: Final = "a door in the hedge"
WIDTH, HEIGHT = 640, 360
PEOPLE: Final = (together.FIRST, together.SECOND)
NAMES: Final = ("base", "street-2", "street-3")
LABELS: Final = ["person", "two_wheeler", "car", "bus", "truck"]
CAMERAS: Final = {
    "harbour-1": ("harbour", "online", ("quay-east", "quay-west", "ferry-ramp")),
    "harbour-2": ("harbour", "offline", ("bridge-north", "bridge-south")),
    "centre-1": ("old-town", "online", ("market", "station", "tunnel-in", "tunnel-out")),
}
STATES: Final = {"tunnel-in": ("failed", "stream answers 401: wrong user or password"), "station": ("connecting", "")}
REASONS: Final = (
    "moving area without detection",
    "two classes alike: bus, truck",
    "a car vanished for one frame and came back",
    "nothing like what the pack was trained on",
    "uniform audit sample",
)

GATES: Final = [
    {"gate": "better", "outcome": "pass", "value": 1.7, "limit": 0.0, "unit": "AP", "reason": "1.7 AP better"},
    {"gate": "forgetting", "outcome": "fail", "value": 3.1, "limit": 2.0, "unit": "AP",
     "reason": "bus lost 3.1 AP; at most 2.0 may be lost"},
    {"gate": "field", "outcome": "not_enough", "reason": "11 of 30 audited frames are answered"},
]  # fmt: skip


@dataclass(frozen=True)
class Picture:
    """A frame to seed: JPEG, size in pixels, and objects as (label, xyxy)."""

    jpeg: bytes
    width: int
    height: int
    objects: Sequence[tuple[str, tuple[float, float, float, float]]]
    proposals: Sequence[dict[str, Any]] | None = None
    """``[{"box", "label", "score"}]``; None: the objects, a little beside themselves."""


def draw(number: int) -> Picture:
    """Return a frame of grey boxes on a road."""
    rng = random.Random(number)
    image = np.full((HEIGHT, WIDTH, 3), (96, 104, 100), np.uint8)
    image[: HEIGHT // 3] = (168, 150, 130)
    objects = []
    for label, width, height in (("car", 90, 60), ("person", 24, 64), ("bus", 130, 90)):
        x, y = rng.randrange(20, WIDTH - 160), rng.randrange(HEIGHT // 3, HEIGHT - 110)
        cv2.rectangle(image, (x, y), (x + width, y + height), (60 + 40 * len(objects), 70, 90), -1)
        objects.append((label, (float(x), float(y), float(x + width), float(y + height))))
    return Picture(cv2.imencode(".jpg", image)[1].tobytes(), WIDTH, HEIGHT, objects)


def seen(path: Path) -> list[Picture]:
    """Return frames with proposals from a JSON file: ``[{"file", "width", "height", "proposals"}]``."""
    rows = json.loads(path.read_text())
    return [Picture(Path(r["file"]).read_bytes(), r["width"], r["height"], [], r["proposals"]) for r in rows]


def load(images: Path, coco: Path, most: int) -> list[Picture]:
    """Return real frames with their true objects, evenly over the set."""
    truth = json.loads(coco.read_text())
    labels = {c["id"]: c["name"] for c in truth["categories"]}
    rows = truth["images"][:: max(1, len(truth["images"]) // most)][:most]
    pictures = []
    for row in rows:
        found = [a for a in truth["annotations"] if a["image_id"] == row["id"]]
        boxes = [(labels[a["category_id"]], (x, y, x + w, y + h)) for a in found for x, y, w, h in [a["bbox"]]]
        pictures.append(Picture((images / row["file_name"]).read_bytes(), row["width"], row["height"], boxes))
    return pictures


class Snapshots:
    """Nodes that answer snapshots with the seeded pictures, and nothing else. Releases are only written down."""

    def __init__(self, store: database.Database, pictures: Sequence[Picture]) -> None:
        self._store, self._pictures = store, pictures

    async def command(self, node: str, action: str, camera: str = "") -> Reply:
        """Answer for `node`."""
        if action != "snapshot":
            raise FleetError(f"node {node}: no answer within 4 s")
        number = sum(camera.encode()) % len(self._pictures)
        picture = cv2.imdecode(np.frombuffer(self._pictures[number].jpeg, np.uint8), cv2.IMREAD_COLOR)
        image = cv2.imencode(".jpg", cv2.resize(picture, (480, 270)))[1].tobytes()
        return Reply(id="r", node=node, camera=camera, ok=True, time=utc_now(), image=image)

    async def register(self, pack: packs.Pack) -> None:
        """Refuse: no pack is made here."""
        raise OSError("this world makes no packs")

    async def release(self, address: str, by: str, notes: str) -> int:
        """Write the release down."""
        return (await offers.create(self._store, address, by, notes)).number

    def node_login(self, node: str) -> BrokerAddress:
        """Refuse: there is no broker here."""
        raise FleetError(f"node {node}: this world has no broker")

    async def tell(self) -> None:
        """There is nobody to tell."""

    def problems(self) -> Sequence[str]:
        """Nothing is wrong."""
        return ()


def frame_id(number: int) -> str:
    """Return the id of frame `number`."""
    return f"{number:08x}-0000-7000-8000-000000000000"


def _contents(number: int) -> dict[str, bytes]:
    return {"model.onnx": f"pack {number}".encode()}


def _manifest(number: int) -> packs.Manifest:
    files = {k: packs.Entry(sha256=sha256(v).hexdigest(), size=len(v)) for k, v in _contents(number).items()}
    size = packs.Input(height=384, width=640)
    return packs.Manifest(name=NAMES[number], labels=LABELS, input=size, files=files)


def address(number: int) -> str:
    """Return the address of pack `number`."""
    return packs.address_of(_manifest(number))


def _nodes(now: datetime) -> list[db.Node]:
    rows = []
    for i, (name, (site, state, cameras)) in enumerate(CAMERAS.items()):
        update: dict[str, Any] = {"release": 2, "pack": address(2), "step": "committed", "progress": 1.0}
        if i == 2:
            update |= {"step": "fetching", "progress": 0.62}
        rows.append(
            db.Node(
                name=name, site=site, state=state, version="0.1.0",
                since=now - timedelta(minutes=7 if state == "offline" else 90), backend="onnxruntime-cpu",
                pack=address(1 if i == 2 else 2), release=1 if i == 2 else 2, update=update,
                spool_frames=3 if i == 0 else 0, spool_bytes=412_000 if i == 0 else 0, temperature_c=51.5 + 8 * i,
                cameras=[_camera(c) for c in cameras],
            )
        )  # fmt: skip
    return rows


def _camera(name: str) -> db.Camera:
    state, detail = STATES.get(name, ("watching", ""))
    rng = random.Random(name)
    health = {
        "state": state, "detail": detail, "fps": rng.uniform(4, 15) if state == "watching" else 0.0,
        "frames": rng.randrange(2_000, 90_000), "selected": rng.randrange(20, 400), "latency_p95_ms": 41.0,
        "blur": rng.uniform(0.1, 0.6) if state == "watching" else None,
        "uncertainty": rng.uniform(0.1, 0.9) if state == "watching" else None,
    }  # fmt: skip
    north, east = places.PLACES[name]
    return db.Camera(
        name=name, source=f"rtsp://10.0.0.7/{name}", width=1280, height=720, health=health, latitude=north,
        longitude=east,
    )  # fmt: skip


def _proposal(found: dict[str, Any]) -> db.Annotation:
    x1, y1, x2, y2 = found["box"]
    return db.Annotation(x1=x1, y1=y1, x2=x2, y2=y2, label=found["label"], source="node", score=found["score"])


def _frame(number: int, picture: Picture, now: datetime) -> db.Frame:
    rng = random.Random(number)
    node = list(CAMERAS)[number % len(CAMERAS)]
    site, _, cameras = CAMERAS[node]
    reason = REASONS[number % len(REASONS)]
    detections = [
        {"box": box, "label": label, "score": 0.8, "blur": rng.uniform(0.1, 0.9)} for label, box in picture.objects
    ]
    annotations = [_proposal(p) for p in picture.proposals or ()] or [
        db.Annotation(
            x1=x1 + rng.uniform(-2, 2), y1=y1, x2=x2, y2=y2 + rng.uniform(-2, 2), label=label, source="node",
            score=rng.uniform(0.35, 0.97),
        )
        for label, (x1, y1, x2, y2) in picture.objects
    ]  # fmt: skip
    return db.Frame(
        id=frame_id(number), node=node, site=site, camera=cameras[number % len(cameras)], boot="b", sequence=number,
        captured_at=now - timedelta(minutes=number), width=picture.width, height=picture.height,
        size_bytes=len(picture.jpeg), sha256=sha256(picture.jpeg).hexdigest(), blob=f"frames/{frame_id(number)}.jpg",
        pack=address(2), value=1.0 - number / 1000, annotations=annotations, detections=detections,
        tag_proposals={"rain": 0.12, "day": 0.91},
        assessment={"blur": 0.31, "uncertainty": 0.72, "unexplained_motion": 0.18, "novelty": 0.4, "reasons": {}},
        selection={"keep": True, "probability": 0.04, "reason": reason, "policy": "budget"},
    )  # fmt: skip


def _learning(now: datetime) -> list[db.Base]:
    metrics = ({"ap": 0.243, "ap50": 0.448}, {"ap": 0.271, "ap50": 0.492}, {"ap": 0.288, "ap50": 0.511})
    packs = [
        db.Pack(
            address=address(i), name=NAMES[i], size_bytes=2_840_000 + 1000 * i, labels=LABELS,
            registered=now - timedelta(hours=30 - 10 * i), parent=address(i - 1) if i else None, metrics=metrics[i],
        )
        for i in range(3)
    ]  # fmt: skip
    log = "snapshot 4f1c02aa: 212 frames, 1840 labels\nepoch 1 of 8: loss 1.92\nepoch 8 of 8: loss 1.21"
    rounds = [
        db.Round(
            id="round-2", state="training", progress=0.44, detail="epoch 4 of 8: loss 1.38", eta_s=212.0, frames=212,
            labels=1840, created=now - timedelta(minutes=3), started=now - timedelta(minutes=3), ap_before=0.288,
            ap50_before=0.511,
        ),
        db.Round(
            id="round-1", state="done", progress=1.0, detail=log, frames=160, labels=1411, pack=address(2),
            created=now - timedelta(hours=10), started=now - timedelta(hours=10), finished=now - timedelta(hours=9.8),
            ap_before=0.271, ap_after=0.288, ap50_before=0.492, ap50_after=0.511, offered=False, gates=GATES,
            verdict="not offered: the gate of forgetting speaks against it",
        ),
        db.Round(
            id="round-0", state="failed", progress=0.2, detail="label 'tram' is not in the profile", frames=12,
            labels=90, created=now - timedelta(hours=21), started=now - timedelta(hours=21),
            finished=now - timedelta(hours=20.9),
        ),
    ]  # fmt: skip
    return [*packs, *rounds]


def _releases(now: datetime) -> list[db.Base]:
    def offer(number: int, pack: int, steps: dict[str, tuple[str, float, str]]) -> db.Release:
        nodes = [db.ReleaseNode(node=n, step=s, progress=p, reason=r) for n, (s, p, r) in steps.items()]
        name, at = NAMES[pack], now - timedelta(minutes=5 + 600 * (2 - number))
        rest: dict[str, Any] = {"by": NAME, "size_bytes": 2_840_000, "nodes": nodes}
        return db.Release(number=number, pack=address(pack), name=name, at=at, **rest)

    done = ("committed", 1.0, "")
    return [
        offer(1, 1, dict.fromkeys(CAMERAS, done)),
        offer(2, 2, {"harbour-1": done, "harbour-2": ("announced", 0.0, ""), "centre-1": ("fetching", 0.62, "")}),
    ]


async def seed(centre: Centre, pictures: Sequence[Picture], empty: bool, fleet: bool = False) -> None:
    """Put a user, and unless `empty` nodes, frames, packs, rounds and releases into `centre`; with `fleet`, a rollout
    over many more nodes."""
    now = utc_now()
    hashed = await passwords.hash_password(PASSWORD)
    async with centre.database.write() as session:
        session.add(db.User(name=NAME, role="admin", password=hashed))
        session.add(db.User(name="guest", role="viewer", password=hashed))
        session.add_all(db.User(name=n, role="annotator", password=hashed) for n in PEOPLE)
        if empty:
            return
        session.add_all(_nodes(now))
        session.add_all(_learning(now))
        await session.flush()
        session.add_all(_releases(now))
        frames = [_frame(n, picture, now) for n, picture in enumerate(pictures)]
        places.frames_of(frames, now)
        session.add_all(frames)
        for node, (_, _, cameras) in CAMERAS.items():
            session.add_all(row for camera in cameras for row in places.scores(now, node, camera))
        session.add_all([*places.events(now, "centre-1"), *places.looks(now, "centre-1"), *work.jobs(now)])
        if pictures[-1].objects:
            await session.flush()
            session.add_all(places.questions(frames))
        if pictures[-1].objects:
            disputed, wanted = (_frame(n, pictures[-1], now) for n in (together.DISPUTED, together.WANTED))
            session.add_all([disputed, wanted])
            await session.flush()
            session.add_all(together.opinions(disputed, wanted))
        for camera in await session.run_sync(lambda s: s.query(db.Camera).all()):
            camera.last_frame_id, camera.last_frame_at = frame_id(len(camera.name) % len(pictures)), now
        if fleet:
            session.add_all(fleets.nodes(now, address(1)))
            await session.flush()
            session.add(made := fleets.rollout(now, address(2), address(1), NAME))
            await session.flush()
            session.add_all(fleets.history(made))
    for number in range(len(NAMES)):
        packs.create(centre.settings.packs / address(number), _manifest(number), _contents(number))
    images = {**dict(enumerate(pictures)), together.DISPUTED: pictures[-1], together.WANTED: pictures[-1]}
    await centre.blobs.put([(f"frames/{frame_id(n)}.jpg", p.jpeg) for n, p in images.items()])


async def serve(data: Path, port: int, pictures: Sequence[Picture], empty: bool, fleet: bool = False) -> None:
    """Serve a seeded centre until the process is told to stop."""
    settings = Settings(data=data, double_share=0.0)
    store = database.connect(settings.database)
    await migrations.migrate(store.engine)
    images = blobs.connect("memory:", data / "blobs")
    jobs = ProcessJobs(store, data / "jobs")
    link = Snapshots(store, pictures)
    centre = Centre(settings, store, images, profile.load("street"), jobs, link, LoginGate(), Notifier())
    await seed(centre, pictures, empty, fleet)

    @asynccontextmanager
    async def open_centre() -> AsyncIterator[Centre]:
        print("ready", flush=True)
        yield centre

    app = create_app(open_centre)
    config = uvicorn.Config(app, host="127.0.0.1", port=port, log_level="error", timeout_graceful_shutdown=1)
    server = uvicorn.Server(config)
    await server.serve()
    await store.close()


def main() -> None:
    """Read the options and serve."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--images", type=Path)
    parser.add_argument("--coco", type=Path)
    parser.add_argument("--proposals", type=Path, help="frames with proposals of their own, in one JSON file")
    parser.add_argument("--frames", type=int, default=24, help="how many it draws")
    parser.add_argument("--empty", action="store_true")
    parser.add_argument("--fleet", action="store_true")
    options = parser.parse_args()
    real = options.images is not None and options.coco is not None
    pictures = load(options.images, options.coco, 30) if real else [draw(n) for n in range(options.frames)]
    if options.proposals is not None:
        pictures = seen(options.proposals)
    asyncio.run(serve(options.data, options.port, pictures, options.empty, options.fleet))


if __name__ == "__main__":
    main()
