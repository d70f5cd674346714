"""The model pack: a folder, or the same files in one archive, known by the hash of its content.

    manifest.json      what the model is, how to feed it, how to read it, and the hash of every other file
    model.onnx         the graph with its weights (fp32); further variants beside it
    parity.npz         inputs and expected outputs, so that any device can prove that it computes the same
    prototypes.npz     optional: embeddings that summarise the training set
    blur_tiles.onnx, blur_tiles.npz, blur.json   optional: see `protocols.blur`
    card.md            optional: data, licence, command, seed and figures

The content address of a pack is the SHA-256 of its canonical ``manifest.json``. As the manifest names the
hash of every file, the address covers all bytes, however they travelled. An archive is an uncompressed zip
with fixed order and dates, so equal packs are equal files.

Nothing in a pack is executed. Sizes and names are checked before anything is parsed, archives are
read member by member without extracting paths, and links are refused.
"""

from __future__ import annotations

import hashlib
import io
import re
import shutil
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from protocols import files
from protocols.messages import Count, Digest, Label, Message, Probability, Text

SUFFIX: Final = ".wpack"
MANIFEST: Final = "manifest.json"
MODEL: Final = "model.onnx"
PARITY: Final = "parity.npz"
PROTOTYPES: Final = "prototypes.npz"
CARD: Final = "card.md"

MAX_MANIFEST: Final = 256 * 1024
"""Bytes; a manifest with a thousand labels needs 20 KB."""
MAX_PACK: Final = 512 * 1024 * 1024
"""Bytes of all files together; a Jetson-class node has no use for more."""
MAX_FILES: Final = 32
_NAME = re.compile(r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")
_EPOCH = (1980, 1, 1, 0, 0, 0)


class PackError(ValueError):
    """A pack that is missing, damaged, too large or not of the agreed form."""


class Input(Message, frozen=True, kw_only=True):
    """How to feed the model. Pixels are resized to fit (``letterbox``) or to fill (``stretch``) `height` x `width`."""

    name: Label = "image"
    height: Annotated[int, Meta(ge=32, le=4096)]
    width: Annotated[int, Meta(ge=32, le=4096)]
    dtype: Literal["uint8", "float32"] = "uint8"
    color: Literal["rgb", "bgr"] = "rgb"
    resize: Literal["letterbox", "stretch"] = "letterbox"
    pad: Annotated[int, Meta(ge=0, le=255)] = 114
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """Subtracted per channel (in 0..255) where `dtype` is float32; inside the graph otherwise."""
    scale: tuple[float, float, float] = (1.0, 1.0, 1.0)
    """Multiplied per channel after `mean`."""


class Entry(Message, frozen=True, kw_only=True):
    """A file of the pack."""

    sha256: Digest
    size: Count


class Manifest(Message, frozen=True, kw_only=True):
    """What a pack is. Serialised with sorted keys; its SHA-256 is the pack's address."""

    schema: Literal[1] = 1
    name: Text
    family: Label = "wayside"
    """``wayside`` for our own networks; else the name of the family whose decoder reads the outputs."""
    decoder: Label = "wayside"
    size: Text = ""
    labels: Annotated[list[Label], Meta(min_length=1, max_length=1000)]
    """Names of the classes, in the order of the columns of ``scores``."""
    label_map: dict[Label, Label] = msgspec.field(default_factory=dict)
    """Foreign label to ours; a label that is not in a non-empty map is ignored."""
    tags: Annotated[list[Label], Meta(max_length=1000)] = msgspec.field(default_factory=list)
    input: Input
    opset: Count = 0
    score_threshold: Probability = 0.3
    """Below it a detection is not reported (evaluation uses its own, far lower, threshold)."""
    nms_iou: Probability = 0.6
    variants: dict[Label, Label] = msgspec.field(default_factory=lambda: {"fp32": MODEL})
    """Precision to file name."""
    parent: Digest | None = None
    """The pack that this one was trained from."""
    snapshot: Digest | None = None
    """The dataset snapshot that it was trained on."""
    created: Text = ""
    producer: Text = ""
    metrics: dict[Label, float] = msgspec.field(default_factory=dict)
    files: dict[Label, Entry] = msgspec.field(default_factory=dict)


@dataclass(frozen=True)
class Pack:
    """An opened pack: its folder, its address and its manifest. The files were verified when it was opened."""

    folder: Path
    address: str
    manifest: Manifest

    def path(self, name: str) -> Path:
        """Return the path of file `name`, or raise PackError where the manifest does not list it."""
        if name not in self.manifest.files:
            raise PackError(f"pack {self.address[:12]} has no {name}; it holds {', '.join(self.manifest.files)}")
        return self.folder / name

    def variant(self, precision: str) -> Path:
        """Return the path of the model in `precision`, or raise PackError where the pack has no such variant."""
        name = self.manifest.variants.get(precision)
        if name is None:
            have = ", ".join(self.manifest.variants)
            raise PackError(f"pack {self.address[:12]} has no {precision} variant; it has {have}")
        return self.path(name)


def encode_manifest(manifest: Manifest) -> bytes:
    """Return the canonical bytes of `manifest`: JSON, sorted keys, one trailing newline."""
    return msgspec.json.format(msgspec.json.encode(manifest, order="sorted"), indent=1) + b"\n"


def decode_manifest(data: bytes) -> Manifest:
    """Return the manifest that `data` holds, or raise PackError."""
    if len(data) > MAX_MANIFEST:
        raise PackError(f"{MANIFEST} has {len(data)} bytes, more than the {MAX_MANIFEST} allowed")
    try:
        manifest = msgspec.json.decode(data, type=Manifest)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise PackError(f"{MANIFEST}: {str(error)[:300]}") from None
    names = set(manifest.files)
    bad = sorted(n for n in names if not _NAME.fullmatch(n) or n == MANIFEST)
    if bad:
        raise PackError(f"{MANIFEST}: file name {bad[0]!r} is not allowed")
    if len(names) > MAX_FILES or sum(e.size for e in manifest.files.values()) > MAX_PACK:
        raise PackError(f"{MANIFEST}: more than {MAX_FILES} files or {MAX_PACK} bytes")
    missing = sorted(set(manifest.variants.values()) - names)
    if missing:
        raise PackError(f"{MANIFEST}: variant file {missing[0]!r} is not among its files")
    return manifest


def address_of(manifest: Manifest) -> str:
    """Return the content address: the SHA-256 (hex) of the canonical manifest."""
    return hashlib.sha256(encode_manifest(manifest)).hexdigest()


def create(folder: Path, manifest: Manifest, contents: Mapping[str, bytes]) -> Pack:
    """Write a pack into `folder` (made where missing) and return it. `manifest.files` is filled in from `contents`."""
    entries = {
        name: Entry(sha256=hashlib.sha256(data).hexdigest(), size=len(data)) for name, data in contents.items()
    }
    manifest = msgspec.structs.replace(manifest, files=entries)
    encoded = encode_manifest(manifest)
    decode_manifest(encoded)
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in contents.items():
        files.write_atomic(folder / name, data)
    files.write_atomic(folder / MANIFEST, encoded)
    return Pack(folder, hashlib.sha256(encoded).hexdigest(), manifest)


def _verify(name: str, data: bytes, entry: Entry) -> None:
    if len(data) != entry.size or hashlib.sha256(data).hexdigest() != entry.sha256:
        sizes = f"{len(data)} of {entry.size} bytes"
        raise PackError(f"{name}: content does not match the manifest ({sizes}); get the pack again")


def _file_digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def open_folder(folder: Path) -> Pack:
    """Open the pack in `folder` and verify every file. Raises PackError."""
    path = folder / MANIFEST
    try:
        if path.is_symlink() or path.stat().st_size > MAX_MANIFEST:
            raise PackError(f"{path}: a link, or more than {MAX_MANIFEST} bytes")
        data = path.read_bytes()
        manifest = decode_manifest(data)
        for name, entry in manifest.files.items():
            file = folder / name
            if file.is_symlink() or not file.is_file():
                raise PackError(f"{file}: missing, or not a plain file")
            if file.stat().st_size != entry.size or _file_digest(file) != entry.sha256:
                raise PackError(f"{file}: content does not match the manifest; get the pack again")
    except OSError as error:
        raise PackError(f"{folder}: not a readable pack ({error.strerror})") from None
    return Pack(folder, hashlib.sha256(data).hexdigest(), manifest)


def archive(pack: Pack) -> bytes:
    """Return `pack` as one archive. Equal packs give equal bytes."""
    return archive_of({name: (pack.folder / name).read_bytes() for name in (MANIFEST, *pack.manifest.files)})


def archive_of(contents: Mapping[str, bytes]) -> bytes:
    """Return the archive of a pack from the bytes of its manifest and of its files."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as target:
        for name in (MANIFEST, *sorted(set(contents) - {MANIFEST})):
            target.writestr(zipfile.ZipInfo(name, _EPOCH), contents[name])
    return buffer.getvalue()


def _members(source: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    infos = source.infolist()
    members = {info.filename: info for info in infos}
    if len(members) != len(infos) or len(infos) > MAX_FILES + 1:
        raise PackError("archive has too many members, or one twice")
    if any(info.compress_type != zipfile.ZIP_STORED or info.flag_bits & 1 for info in infos):
        raise PackError("archive has a compressed or encrypted member")
    if MANIFEST not in members:
        raise PackError(f"archive has no {MANIFEST}")
    if members[MANIFEST].file_size > MAX_MANIFEST or sum(i.file_size for i in infos) > MAX_PACK:
        raise PackError(f"archive holds more than {MAX_PACK} bytes")
    return members


def read_archive(path: Path) -> tuple[bytes, Manifest, dict[str, bytes]]:
    """Return manifest bytes, manifest and contents of the archive at `path`, all verified. Raises PackError."""
    try:
        with zipfile.ZipFile(path) as source:
            members = _members(source)
            data = source.read(members[MANIFEST])
            manifest = decode_manifest(data)
            if set(members) != {MANIFEST, *manifest.files}:
                raise PackError("archive and manifest name different files")
            contents = {}
            for name, entry in manifest.files.items():
                if members[name].file_size != entry.size:
                    raise PackError(f"{name}: {members[name].file_size} bytes, the manifest says {entry.size}")
                contents[name] = source.read(members[name])
                _verify(name, contents[name], entry)
    except PackError as error:
        raise PackError(f"{path}: {error}") from None
    except OSError as error:
        raise PackError(f"{path}: not readable ({error.strerror or error})") from None
    except (zipfile.BadZipFile, EOFError, ValueError, NotImplementedError, RuntimeError) as error:
        raise PackError(f"{path}: not a whole pack archive ({error}); get it again") from None
    return data, manifest, contents


def unpack(path: Path, packs: Path) -> Pack:
    """Put the archive at `path` into ``packs/<address>/`` and return it. Twice gives the same. Raises PackError."""
    data, _, contents = read_archive(path)
    address = hashlib.sha256(data).hexdigest()
    folder = packs / address
    if folder.is_dir():
        try:
            return open_folder(folder)
        except PackError:
            shutil.rmtree(folder)
    part = packs / f".{address}.part"
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    for name, content in contents.items():
        files.write_atomic(part / name, content)
    files.write_atomic(part / MANIFEST, data)
    part.rename(folder)
    files.sync_folder(packs)
    return open_folder(folder)


def open_pack(path: Path, packs: Path) -> Pack:
    """Open `path`, a pack folder or archive; an archive is unpacked below `packs`. Raises PackError."""
    if path.is_dir():
        return open_folder(path)
    if path.is_file():
        return unpack(path, packs)
    raise PackError(f"{path}: no such pack; give a folder, a {SUFFIX} file, or 'base'")
