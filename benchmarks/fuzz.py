"""Hostile bytes at every door: codec, topics, images, packs, deltas, manifests, records, enrolments, importers.

    python -m benchmarks.fuzz [--count 100000] [--seed 1] [--only codec] --json

Each payload is made from a sound one (golden vectors, a real pack, a real data set) by `benchmarks.mutate`. A door may
refuse with its own error; anything else is an uncaught error. `p999_ms` is the processor time of the slowest one in a
thousand, `p999_wall_ms` what the clock says, which counts whatever else the machine did. Data sets are as large as they
are, so that theirs is the time for each 64 KiB of them. Exit status 1 where an error was uncaught or `p999_ms` is above
5.
"""

from __future__ import annotations

import argparse
import base64
import gc
import hashlib
import io
import json
import random
import shutil
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np

from benchmarks.mutate import Seed, mutate
from central.annotate import archive, dicom
from central.annotate import profile as profiles
from central.annotate.boxes import LabelBox
from central.annotate.formats import Dataset, FormatError, Picture
from central.annotate.formats import kinds as formats
from central.ingest import frames
from central.ingest.inspect import RefusedError, check, jpeg_size
from central.learn.detect import coco as truths
from central.link import Received
from edge.commands.swarm import small_jpeg
from edge.spool import pack_record, unpack_record
from edge.swarm.node import SIDE
from protocols import codec, delta, enrolment, pack, topics
from protocols.delta.errors import DeltaError
from protocols.messages import FrameMessage

VECTORS: Final = Path(__file__).parents[1] / "tests" / "vectors"
LIMIT_MS: Final = 5.0
SHARE: Final = 64 * 1024
SHOWN: Final = 5
"""Uncaught errors that are told in full."""
NODE: Final = "gate-1"
COCO: Final[dict[str, Any]] = {
    "images": [{"id": 1, "file_name": "a/1.jpg", "width": 64, "height": 48, "camera": "c", "frame": 1}],
    "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [1.0, 2.0, 3.0, 4.0], "area": 12.0,
                     "iscrowd": 0, "score": 0.5}],
    "categories": [{"id": 1, "name": "car"}],
}  # fmt: skip
XML_BOMBS: Final = (
    b'<!DOCTYPE a [<!ENTITY b "bbbbbbbb"><!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;">]>ROOT',
    b'<!DOCTYPE a SYSTEM "file:///etc/passwd">ROOT',
    b'<!DOCTYPE a [<!ENTITY % b SYSTEM "http://127.0.0.1:9/x"> %b;]>ROOT',
)
"""Entities that grow, and that fetch."""
YAML_BOMBS: Final = (
    b"a0: &a0 [x]\n" + b"".join(b"a%d: &a%d [%s]\n" % (n, n, b",".join([b"*a%d" % (n - 1)] * 9)) for n in range(1, 10))
    + b"names: *a9\nlabels: *a9\nname: *a9\n",
    b"names: !!python/object/apply:os.system [x]\nlabels: !!python/object/apply:os.system [x]\n",
    b"names: &n [*n]\nlabels: *n\n",
    b"names: 2026-99-99\nlabels: 2026-99-99\n",
    b"names: " + b"[" * 3000,
)  # fmt: skip
"""Texts that grow, programs, circles, dates that are none, and depth."""


@dataclass(frozen=True)
class Door:
    """Something that takes bytes of strangers: sound ones, what to do with them, and the errors that it may raise."""

    name: str
    seeds: list[Seed]
    open: Callable[[bytes], object]
    refuses: tuple[type[Exception], ...] = ()
    bulk: bool = False
    """It takes as much as there is, so that its time is counted for each `SHARE` bytes."""


@dataclass
class Seen:
    """What came of a run."""

    count: int = 0
    refused: int = 0
    uncaught: list[dict[str, str]] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    wall: list[float] = field(default_factory=list)


def _frame() -> FrameMessage:
    """Return the golden frame with an image that is one."""
    frame = codec.decode("frames", (VECTORS / "frames.msgpack").read_bytes())
    assert isinstance(frame, FrameMessage)
    image = small_jpeg()
    digest = hashlib.sha256(image).hexdigest()
    return msgspec.structs.replace(frame, image=image, sha256=digest, width=SIDE, height=SIDE)


def _codecs() -> Iterator[Door]:
    for name, channel in topics.CHANNELS.items():
        data = (VECTORS / f"{name}.{channel.encoding}").read_bytes()
        data = codec.encode("frames", _frame()) if name == "frames" else data

        def open_(payload: bytes, name: str = name) -> None:
            message = codec.decode(name, payload)
            if isinstance(message, FrameMessage):
                check(message, message.node)

        yield Door(f"codec {name}", [Seed(data, channel.encoding)], open_, (codec.CodecError, RefusedError))


def _centre() -> Iterator[Door]:
    frame = _frame()
    sound = Seed(codec.encode("frames", frame), "msgpack")
    yield Door("ingest", [sound], lambda data: frames.decode([Received(frame.node, "frames", "", data)]))
    yield Door("image", [Seed(small_jpeg())], jpeg_size, (RefusedError,))
    names = [topics.build("wayside/v1", NODE, "events", "yard"), topics.build("wayside/v1", NODE, "frames")]
    yield Door(
        "topics", [Seed(name.encode()) for name in names],
        lambda data: topics.parse("wayside/v1", data.decode("utf-8", "surrogateescape")), (topics.TopicError,),
    )  # fmt: skip


def _packs(folder: Path) -> Iterator[Door]:
    manifest = pack.Manifest(name="small", labels=["car"], input=pack.Input(height=64, width=64))
    draw = random.Random(0)
    old = pack.create(folder / "old", manifest, {"model.onnx": draw.randbytes(4000), "parity.npz": draw.randbytes(900)})
    weights = bytearray((folder / "old" / "model.onnx").read_bytes())
    weights[100:140] = bytes(40)
    new = pack.create(
        folder / "new", manifest, {"model.onnx": bytes(weights), "parity.npz": (old.folder / "parity.npz").read_bytes()}
    )
    held = folder / "hostile.wpack"

    def archive(data: bytes) -> None:
        held.write_bytes(data)
        pack.read_archive(held)

    encoded = pack.encode_manifest(old.manifest)
    yield Door("pack archive", [Seed(pack.archive(old))], archive, (pack.PackError,))
    yield Door("pack manifest", [Seed(encoded, "json")], pack.decode_manifest, (pack.PackError,))
    yield Door("delta", [Seed(delta.make(old, new), "msgpack")], lambda d: delta.apply(old, d), (DeltaError,))


def _files(folder: Path) -> Iterator[Door]:
    yield Door("spool record", [Seed(pack_record(b"body" * 50))], unpack_record)
    blocks = (f"-----BEGIN {what}-----\n-----END {what}-----" for what in ("PRIVATE KEY", "CERTIFICATE", "CERTIFICATE"))
    head = enrolment.render(enrolment.Enrolment(node=NODE, host="h"), *blocks)
    yield Door(
        "enrolment", [Seed(head.encode())], lambda d: enrolment.parse(d.decode("utf-8", "replace")),
        (enrolment.EnrolmentError,),
    )  # fmt: skip
    held, sound = folder / "hostile.json", Seed(msgspec.json.encode(COCO), "json")

    def reading(read: Callable[[Path], object]) -> Callable[[bytes], None]:
        def open_(data: bytes) -> None:
            held.write_bytes(data)
            read(held)

        return open_

    yield Door("truth coco", [sound], reading(truths.read), (truths.DatasetError,))
    own = profiles.dump(profiles.load("street")).encode()
    yield Door("profile", [Seed(own), *map(Seed, YAML_BOMBS)], reading(profiles.read), (profiles.ProfileError,))


def _sets(folder: Path) -> Iterator[Door]:
    """Readers of data sets: each file that one writes is a door of its own, the others beside it being sound."""
    ring = ((1.0, 2.0), (9.0, 2.0), (9.0, 8.0))
    boxes = (LabelBox((1, 2, 30, 40), "car"), LabelBox((1, 2, 9, 8), "bus", 0.5, (ring,)))
    labelled = Picture(
        "a/1.jpg", 64, 48, boxes, ("car",), camera="c", index=3, tags={"rain": "present", "fog": "absent"}
    )
    dataset = Dataset(("car", "bus"), (labelled, Picture("a/2.jpg", 64, 48, labelled=False)), ("rain", "fog"))
    for name, form in formats().items():
        root = folder / "sets" / name
        root.mkdir(parents=True)
        form.write(dataset, root if form.images else root / "set")
        for file in sorted(path for path in root.rglob("*") if path.is_file()):
            yield _set_door(f"import {name} {file.name}", form, root if form.images else file, file)


def _set_door(name: str, form: Any, root: Path, file: Path) -> Door:
    sound = file.read_bytes()
    is_json = sound.lstrip()[:1] in (b"{", b"[")

    def open_(data: bytes) -> None:
        file.write_bytes(data)
        try:
            form.read(root).loaded()
        finally:
            file.write_bytes(sound)

    seeds = [Seed(sound, "json" if is_json else "bytes")]
    if sound.lstrip()[:1] == b"<":
        seeds += [Seed(bomb.replace(b"ROOT", sound)) for bomb in XML_BOMBS]
    if name.endswith((".yaml", ".txt")):
        seeds += [Seed(bomb) for bomb in YAML_BOMBS]
    return Door(name, seeds, open_, (FormatError,), bulk=True)


def _medical(folder: Path) -> Iterator[Door]:
    held = folder / "hostile.dcm"

    def open_(data: bytes) -> None:
        held.write_bytes(data)
        if dicom.look(held, b"salt") is not None:
            found = dicom.pixels(held)
            for frame in range(len(found.values)):
                dicom.grey(found, frame)

    yield Door("dicom", [Seed(small_dicom(colour)) for colour in (False, True)], open_, (FormatError,))


def small_dicom(colour: bool) -> bytes:
    """Return a sound DICOM file of 16 x 12 pixels with a window, or of three colours."""
    from pydicom.dataset import FileDataset, FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage, generate_uid

    meta = FileMetaDataset()
    meta.TransferSyntaxUID, meta.MediaStorageSOPInstanceUID = ExplicitVRLittleEndian, generate_uid(entropy_srcs=["a"])
    meta.MediaStorageSOPClassUID = SecondaryCaptureImageStorage
    one = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    one.PatientName, one.SOPInstanceUID, one.SeriesInstanceUID = "Doe^Jane", "1.2.3", "1.2"
    one.Rows, one.Columns, one.SamplesPerPixel, one.InstanceNumber = 12, 16, 3 if colour else 1, 1
    one.BitsAllocated = one.BitsStored = 8 if colour else 16
    one.HighBit, one.PixelRepresentation = one.BitsStored - 1, 0
    one.PhotometricInterpretation = "RGB" if colour else "MONOCHROME1"
    one.PlanarConfiguration = 0
    one.WindowCenter, one.WindowWidth, one.RescaleSlope, one.RescaleIntercept = 40, 400, 1, -1024
    values = np.arange(12 * 16 * (3 if colour else 1))
    one.PixelData = values.astype(np.uint8 if colour else np.uint16).tobytes()
    out = io.BytesIO()
    one.save_as(out, enforce_file_format=True)
    return out.getvalue()


def _archives(folder: Path) -> Iterator[Door]:
    sound, held = io.BytesIO(), folder / "hostile.zip"
    with zipfile.ZipFile(sound, "w", zipfile.ZIP_DEFLATED) as made:
        made.writestr("labels/a.txt", "0 0.5 0.5 0.1 0.1\n" * 20)
        made.writestr("../../../tmp/wayside-escaped", "x")
    fair = io.BytesIO()
    with zipfile.ZipFile(fair, "w", zipfile.ZIP_DEFLATED) as made:
        made.writestr("labels/a.txt", "0 0.5 0.5 0.1 0.1\n" * 20)
        made.writestr("data.yaml", "names: [car]")

    def open_(data: bytes) -> None:
        held.write_bytes(data)
        with archive.opened(held):
            pass
        if Path("/tmp/wayside-escaped").exists():
            raise AssertionError("it was unpacked outside of its folder")

    yield Door("archive", [Seed(fair.getvalue()), Seed(sound.getvalue())], open_, (FormatError,))


@contextmanager
def doors() -> Iterator[list[Door]]:
    """Every door, with a folder in memory that is gone afterwards."""
    memory = Path("/dev/shm")
    folder = Path(tempfile.mkdtemp(prefix="wayside-fuzz-", dir=memory if memory.is_dir() else None))
    try:
        yield [
            *_codecs(),
            *_centre(),
            *_packs(folder),
            *_files(folder),
            *_sets(folder),
            *_medical(folder),
            *_archives(folder),
        ]
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def knock(all_doors: list[Door], count: int, seed: int) -> dict[str, Seen]:
    """Send `count` payloads in turn to `all_doors`. Returns what came of them by door."""
    draw = random.Random(seed)
    seen = {door.name: Seen() for door in all_doors}
    lent = [each for door in all_doors for each in door.seeds]
    gc.collect()
    gc.freeze()  # what is loaded is not looked through again while the clock runs
    for number in range(count):
        door = all_doors[number % len(all_doors)]
        payload, result = mutate(draw.choice(door.seeds), lent, draw), seen[door.name]
        wall, cpu = time.perf_counter(), time.thread_time()
        try:
            door.open(payload)
        except door.refuses:
            result.refused += 1
        except Exception as error:  # noqa: BLE001
            # The very thing that is looked for: whatever else a door raises.
            told = {"door": door.name, "error": f"{type(error).__name__}: {str(error)[:200]}", "number": str(number)}
            result.uncaught.append({**told, "payload": base64.b64encode(payload[:600]).decode()})
        shares = max(1.0, len(payload) / SHARE) if door.bulk else 1.0
        result.cpu.append((time.thread_time() - cpu) / shares)
        result.wall.append((time.perf_counter() - wall) / shares)
        result.count += 1
    return seen


def _slow(times: list[float], share: float = 0.999) -> float:
    return round(1000 * sorted(times)[min(len(times) - 1, int(share * len(times)))], 3) if times else 0.0


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return the figures."""
    with doors() as found:
        chosen = [door for door in found if arguments.only in door.name]
        seen = knock(chosen, arguments.count, arguments.seed)
    errors = [error for each in seen.values() for error in each.uncaught]
    cpu = [value for each in seen.values() for value in each.cpu]
    p999 = _slow(cpu)
    return {
        "seed": arguments.seed, "count": len(cpu), "refused": sum(each.refused for each in seen.values()),
        "uncaught": len(errors), "p999_ms": p999, "p50_ms": _slow(cpu, 0.5), "max_ms": _slow(cpu, 1.0),
        "p999_wall_ms": _slow([value for each in seen.values() for value in each.wall]),
        "doors": {name: {"count": e.count, "refused": e.refused, "p999_ms": _slow(e.cpu)} for name, e in seen.items()},
        "errors": errors[:SHOWN], "ok": not errors and p999 <= LIMIT_MS,
    }  # fmt: skip


def main() -> int:
    """Parse, run, print one JSON line."""
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--count", type=int, default=100_000, help="payloads, of all doors together")
    made.add_argument("--seed", type=int, default=1)
    made.add_argument("--only", default="", help="doors whose name has this in it")
    made.add_argument("--json", action="store_true", help="nothing but the JSON line on standard output")
    answer = run(made.parse_args())
    print(json.dumps(answer))
    return 0 if answer["ok"] else 1


if __name__ == "__main__":
    sys.exit(main())
