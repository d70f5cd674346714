"""Packs that want to run code or to read what is none of theirs, opened by everything that opens packs (P21).

    python -m tests.faults.hostile_packs [--bug NAME] [--json]

Whoever holds the centre's key can sign any bytes, so these packs count as signed: right archive, right address. Each is
unpacked, checked as a node checks it, and run. Code that ran would leave a file; reading outside of the pack is seen by
the kernel (inotify) on a secret that lies there. Prints one JSON line; exit status 1 where there was either.
"""

from __future__ import annotations

import argparse
import ctypes
import io
import json
import os
import pickle
import resource
import stat
import struct
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper

from edge.runtime import RuntimeFault, parity
from edge.runtime.model import Model
from protocols import pack as packs
from protocols.pack import MANIFEST, MODEL, PARITY, Entry, Input, Manifest, PackError, encode_manifest

SIDE = 64
IN_NONBLOCK, IN_OPEN, IN_ACCESS = 0o4000, 0x20, 0x01


class Bomb:
    """Leaves a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mknod, (str(self.path),)


class Eye:
    """Sees who opens or reads what lies in a folder."""

    def __init__(self, folder: Path) -> None:
        self._libc = ctypes.CDLL(None)
        self._handle = self._libc.inotify_init1(IN_NONBLOCK)
        added = self._libc.inotify_add_watch(self._handle, str(folder).encode(), IN_OPEN | IN_ACCESS)
        if self._handle < 0 or added < 0:
            raise OSError("no inotify here")

    def saw(self) -> bool:
        """Whether anybody did, since the last question."""
        try:
            data = os.read(self._handle, 65536)
        except BlockingIOError:
            return False
        at = 0
        while at < len(data):
            mask, size = struct.unpack_from("4xI4xI", data, at)
            if not mask & 0x40000000:  # a file, and not the folder itself
                return True
            at += 16 + size
        return False


def graph(spoil: Callable[[onnx.ModelProto], None] = lambda model: None) -> bytes:
    """Return a detector that sees nothing, spoiled."""
    shapes = {"boxes": [1, 4], "scores": [1, 1]}
    nodes = [helper.make_node("Constant", [], [n], value=_zeros(n, s)) for n, s in shapes.items()]
    weight = _zeros("w", [4])
    made = helper.make_graph(
        [*nodes, helper.make_node("Identity", ["w"], ["tags"])], "g",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, [1, 3, SIDE, SIDE])],
        [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in {**shapes, "tags": [4]}.items()],
        [weight],
    )  # fmt: skip
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    spoil(model)
    return bytes(model.SerializeToString())


def _zeros(name: str, shape: list[int]) -> TensorProto:
    return helper.make_tensor(name, TensorProto.FLOAT, shape, np.zeros(shape, np.float32).tobytes(), raw=True)


def external(location: str) -> bytes:
    """Return a graph whose weight lies elsewhere."""

    def spoil(model: onnx.ModelProto) -> None:
        tensor = model.graph.initializer[0]
        tensor.ClearField("raw_data")
        tensor.data_location = TensorProto.EXTERNAL
        tensor.external_data.add(key="location", value=location)
        tensor.external_data.add(key="length", value="16")

    return graph(spoil)


def custom(domain: str, operator: str, **attributes: Any) -> bytes:
    """Return a graph with an operator that is not ONNX's."""
    node = helper.make_node(operator, ["w"], ["x"], domain=domain, **attributes)

    def spoil(model: onnx.ModelProto) -> None:
        model.graph.node.append(node)
        model.opset_import.add(domain=domain, version=1)

    return graph(spoil)


def npz(**members: bytes) -> bytes:
    """Return a zip archive of arrays as they are."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as file:
        for name, data in members.items():
            file.writestr(f"{name}.npy", data)
    return buffer.getvalue()


def header(shape: str, descr: str = "|u1") -> bytes:
    """Return an array's header that promises `shape`."""
    text = f"{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}}}".ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text.encode()


def objects(path: Path) -> bytes:
    """Return an array whose unpickling runs code."""
    buffer = io.BytesIO()
    np.save(buffer, np.array([Bomb(path)], dtype=object), allow_pickle=True)
    return buffer.getvalue()


def torch_file(path: Path) -> bytes:
    """Return what torch.save writes: a zip archive with a pickle in it."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        file.writestr("archive/data.pkl", pickle.dumps(Bomb(path)))
    return buffer.getvalue()


def archive(contents: dict[str, bytes], **fields: Any) -> bytes:
    """Return the archive of a pack of `contents`, whose manifest fits."""
    manifest = packs.Manifest(name="hostile", labels=["car"], input=Input(height=SIDE, width=SIDE), **fields)
    entries = {n: Entry(sha256=_digest(d), size=len(d)) for n, d in contents.items()}
    return packs.archive_of({MANIFEST: encode_manifest(_with(manifest, entries)), **contents})


def _digest(data: bytes) -> str:
    import hashlib

    return hashlib.sha256(data).hexdigest()


def _with(manifest: Manifest, entries: dict[str, Entry]) -> Manifest:
    import msgspec

    return msgspec.structs.replace(manifest, files=entries)


def linked(secret: Path) -> bytes:
    """Return an archive whose model is a symbolic link."""
    target = str(secret).encode()
    whole = archive({MODEL: target})
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(whole)) as source, zipfile.ZipFile(buffer, "w") as out:
        for info in source.infolist():
            data = source.read(info)
            if info.filename == MODEL:
                info.external_attr = (stat.S_IFLNK | 0o777) << 16
                info.create_system = 3
            out.writestr(info, data)
    return buffer.getvalue()


def lying(size: int) -> bytes:
    """Return an archive whose directory says that its model has `size` bytes."""
    whole = bytearray(archive({MODEL: graph()}))
    at = whole.rfind(b"PK\x01\x02")
    struct.pack_into("<II", whole, at + 20, size, size)
    return bytes(whole)


def hostile(secret: Path, ran: Path) -> dict[str, bytes]:
    """Return the archives by what is wrong with them."""
    good, proof = graph(), npz(input_0=header(f"(1, 3, {SIDE}, {SIDE})") + bytes(3 * SIDE * SIDE))
    far = os.path.relpath(secret, "/")
    deep = b'{"a":' * 5000 + b"1" + b"}" * 5000
    return {
        "a pickle for a model": archive({MODEL: pickle.dumps(Bomb(ran)), PARITY: proof}),
        "a torch file for a model": archive({MODEL: torch_file(ran), PARITY: proof}),
        "a pickle among the proofs": archive({MODEL: good, PARITY: npz(input_0=objects(ran))}),
        "a pickle for the proofs": archive({MODEL: good, PARITY: pickle.dumps(Bomb(ran))}),
        "tolerances that are a pickle": archive({MODEL: good, PARITY: npz(
            input_0=header(f"(1, 3, {SIDE}, {SIDE})") + bytes(3 * SIDE * SIDE), tolerance=objects(ran))}),
        "weights elsewhere, absolute": archive({MODEL: external(str(secret)), PARITY: proof}),
        "weights elsewhere, above": archive({MODEL: external("../" * 12 + far), PARITY: proof}),
        "weights elsewhere, beside": archive({MODEL: external("w.bin"), "w.bin": bytes(16), PARITY: proof}),
        "a custom operator": archive({MODEL: custom("com.evil", "Run"), PARITY: proof}),
        "Python as an operator": archive({MODEL: custom("ai.onnx.contrib", "PyOp"), PARITY: proof}),
        "an engine as an operator": archive({MODEL: custom(
            "com.microsoft", "EPContext", ep_cache_context=str(secret), embed_mode=0), PARITY: proof}),
        "a link in the archive": linked(secret),
        "a header of a petabyte": archive({MODEL: good, PARITY: npz(input_0=header("(1, 3, 300000000, 900000)"))}),
        "a negative header": archive({MODEL: good, PARITY: npz(input_0=header("(-1, 3, 4, 4)"))}),
        "a header that is code": archive({MODEL: good, PARITY: npz(input_0=header("__import__('os')"))}),
        "a model of 2^60 bytes": archive({MODEL: b"\x3a" + b"\xff" * 8 + b"\x0f" + bytes(64), PARITY: proof}),
        "a tensor of 2^40 values": archive({MODEL: graph(
            lambda m: m.graph.initializer[0].dims.__setitem__(0, 1 << 40)), PARITY: proof}),
        "an archive that lies": lying(0xFFFFFFF0),
        "a manifest of brackets": packs.archive_of({MANIFEST: deep}),
        "a bomb of zeros": archive({MODEL: good, PARITY: npz(**{f"input_{i}": bytes(1 << 26) for i in range(8)})}),
    }  # fmt: skip


def opened(data: bytes, folder: Path) -> str:
    """Do with the archive all that a node does; return why it was refused, empty where it was not."""
    path = folder / "x.wpack"
    path.write_bytes(data)
    try:
        pack = packs.unpack(path, folder)
        model = Model(pack, "cpu")
        parity.check(model)
        model.infer(np.zeros((SIDE, SIDE, 3), np.uint8))
    except (PackError, RuntimeFault) as error:
        return str(error)
    except MemoryError:
        return ""
    return ""


def linked_folder(secret: Path, folder: Path) -> str:
    """The same with a pack whose model became a link after it was unpacked."""
    path = folder / "x.wpack"
    path.write_bytes(archive({MODEL: graph(), PARITY: npz()}))
    pack = packs.unpack(path, folder)
    model = pack.folder / MODEL
    secret.write_bytes(model.read_bytes())
    model.unlink()
    model.symlink_to(secret)
    try:
        Model(packs.open_folder(pack.folder), "cpu")
    except (PackError, RuntimeFault) as error:
        return str(error)
    return ""


def _pickles_are_loaded() -> None:
    from numpy.lib import format as npy

    parity._array = lambda data: npy.read_array(io.BytesIO(data), allow_pickle=True)


def _links_are_followed() -> None:
    Path.is_symlink = lambda self: False  # type: ignore[method-assign]


BUGS: dict[str, Callable[[], None]] = {"pickle": _pickles_are_loaded, "links": _links_are_followed}


def run(folder: Path) -> dict[str, Any]:
    """Open every pack, and return what was seen."""
    outside, ran, before = folder / "outside", folder / "ran", _megabytes()
    outside.mkdir()
    secret = outside / "secret"
    secret.write_bytes(bytes(16))
    wrong, slowest, refused = list[str](), 0.0, 0
    made = hostile(secret, ran)
    eye = Eye(outside)
    for number, (what, data) in enumerate(made.items()):
        place = folder / f"node-{number}"
        place.mkdir()
        began = time.monotonic()
        reason = opened(data, place)
        slowest = max(slowest, time.monotonic() - began)
        refused += bool(reason)
        if ran.exists():
            wrong.append(f"{what}: code ran")
            ran.unlink()
        if eye.saw():
            wrong.append(f"{what}: what is outside was read")
        if not reason:
            wrong.append(f"{what}: not refused")
    place = folder / "node-good"
    place.mkdir()
    good = npz(input_0=header(f"(1, 3, {SIDE}, {SIDE})") + bytes(3 * SIDE * SIDE))
    if reason := opened(archive({MODEL: graph(), PARITY: good}), place):
        wrong.append(f"a pack that is well: refused ({reason})")
    place = folder / "node-link"
    place.mkdir()
    linked_folder(secret, place) or wrong.append("a link in the folder: not refused")
    if _read_after_write(eye):
        wrong.append("a link in the folder: what is outside was read")
    return {
        "packs": len(made) + 1, "refused": refused + 1, "wrong": wrong, "slowest_s": round(slowest, 2),
        "memory_mb": _megabytes() - before, "ok": not wrong,
    }  # fmt: skip


def _megabytes() -> int:
    """Return the most memory that this process had so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def _read_after_write(eye: Eye) -> bool:
    """The test itself opened the secret once, to write; whether it was opened more often is what counts."""
    data = b""
    try:
        data = os.read(eye._handle, 65536)
    except BlockingIOError:
        return False
    at, count = 0, 0
    while at < len(data):
        mask, size = struct.unpack_from("4xI4xI", data, at)
        count += bool(mask & IN_OPEN)
        at += 16 + size
    return count > 1


def main() -> int:
    """Read the command line, run, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bug", choices=list(BUGS))
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if given.bug:
            BUGS[given.bug]()
        answer = run(Path(folder).resolve())
    print(json.dumps(answer))
    return 0 if answer["ok"] else 1


if __name__ == "__main__":
    sys.exit(main())
