"""Deltas: what turns one pack into the next, bit for bit.

    make(old, new)   -> bytes              apply(old, bytes) -> the archive of new, its address and every file verified

    entropy.py     small integers to few bits
    grid.py        the steps that a released update consists of, and finding them again from two packs
    rounding.py    rounding an update to the grid, before it is evaluated and signed
    low_rank.py    matrices of low rank
    plain.py       changes that lie on no grid
    patch.py       bytes as a patch of older bytes
    weights.py     where the weights of a model file lie
    model.py       one model file
    __init__.py    a pack: manifest and files

A delta is a magic word and a MessagePack array: addresses of both packs, the new manifest as a patch of the old, and
for each file that changed how it did. A file that both packs have in common is not mentioned. Of a variant of half
precision the weights are made of the new main model's, which gives the same bits everywhere; variants of 8 bits are
carried, as differences of what they are: computed again on the node they would not have the same bits.

Whatever arrives is bounded before it is unpacked, and the result has the announced content address or there is none:
all that can be wrong is a `DeltaError`. Nothing here needs torch or the onnx package.
"""

from __future__ import annotations

import hashlib
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from protocols.delta import model, patch
from protocols.delta.errors import DeltaError
from protocols.delta.model import ModelDelta
from protocols.messages import Digest
from protocols.pack import (
    MANIFEST,
    MAX_FILES,
    MAX_MANIFEST,
    MAX_PACK,
    Manifest,
    Pack,
    PackError,
    archive,
    archive_of,
    decode_manifest,
)

__all__ = ["SUFFIX", "DeltaError", "apply", "choose", "file_name", "make", "parties"]

SUFFIX: Final = ".wdelta"
FOLDER: Final = "deltas"
MAGIC: Final = b"WAYSIDE-DELTA-1\n"
MODEL_SUFFIX: Final = ".onnx"
FULL: Final = "fp32"
"""The variant that others are made of."""
WORTH: Final = 0.5
"""A model whose delta is smaller than this share of it is not tried as a patch of bytes too: that takes seconds."""


OLD_DIGITS: Final = 32
"""Of the old pack's address in a file name: the name of a file that is fetched has 128 characters at most."""


def file_name(old: str, new: str) -> str:
    """Return the name by which nodes fetch the delta between the packs with these addresses."""
    return f"{FOLDER}/{old[:OLD_DIGITS]}.{new}"


class _File(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A file that changed. base: the old file that it is a difference of, empty for none; how: a patch, or a model."""

    name: Annotated[str, Meta(max_length=64)]
    base: Annotated[str, Meta(max_length=64)]
    how: bytes | ModelDelta


class _Delta(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    old: Digest
    new: Digest
    manifest: bytes
    files: Annotated[list[_File], Meta(max_length=MAX_FILES)]


def _read(pack: Pack, name: str) -> bytes:
    try:
        return (pack.folder / name).read_bytes()
    except OSError as error:
        raise DeltaError(f"pack {pack.address[:12]}: {name} is not readable ({error.strerror})") from None


def _main(manifest: Manifest) -> str:
    """Return the name of the model of full precision, empty for none."""
    return manifest.variants.get(FULL, "")


def _file(old: Pack, new: Pack, name: str) -> _File:
    data = _read(new, name)
    if name not in old.manifest.files:
        return _File(name, "", patch.make(b"", data))
    before, main = _read(old, name), _main(new.manifest)
    full = _read(new, main) if main and main != name else b""
    found = model.make(before, data, full) if name.endswith(MODEL_SUFFIX) else None
    if found is not None:
        size = len(msgspec.msgpack.encode(found))
        if size < WORTH * len(data):
            return _File(name, name, found)
    patched = patch.make(before, data)
    return _File(name, name, patched if found is None or len(patched) <= size else found)


def make(old: Pack, new: Pack) -> bytes:
    """Return the delta from `old` to `new`; `apply` was tried on it. Raises DeltaError."""
    theirs = {entry.sha256 for entry in old.manifest.files.values()}
    changed = [name for name, entry in new.manifest.files.items() if entry.sha256 not in theirs]
    manifest = patch.make(_read(old, MANIFEST), _read(new, MANIFEST))
    delta = _Delta(old.address, new.address, manifest, [_file(old, new, name) for name in sorted(changed)])
    data = MAGIC + msgspec.msgpack.encode(delta)
    apply(old, data)
    return data


def choose(old: Pack, new: Pack) -> bytes | None:
    """Return the delta from `old` to `new` where it is smaller than the archive of `new`, else None."""
    data = make(old, new)
    return data if len(data) < len(archive(new)) else None


def _decode(data: bytes) -> _Delta:
    if len(data) > MAX_PACK:
        raise DeltaError(f"{len(data)} bytes, more than the {MAX_PACK} that a delta may have")
    if not data.startswith(MAGIC):
        raise DeltaError("not a delta; make one with `wayside-export delta`")
    try:
        return msgspec.msgpack.decode(memoryview(data)[len(MAGIC) :], type=_Delta)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise DeltaError(f"not a whole delta ({str(error)[:100]}); get it again") from None


def parties(data: bytes) -> tuple[str, str]:
    """Return the addresses of the packs that a delta leads from and to. Raises DeltaError."""
    delta = _decode(data)
    return delta.old, delta.new


def _manifest(old: Pack, delta: _Delta) -> tuple[bytes, Manifest]:
    if delta.old != old.address:
        raise DeltaError(f"it is for pack {delta.old[:12]}, this is {old.address[:12]}; get the whole pack")
    data = patch.apply(_read(old, MANIFEST), delta.manifest, limit=MAX_MANIFEST)
    if hashlib.sha256(data).hexdigest() != delta.new:
        raise DeltaError("its manifest does not have the announced address; get it again")
    try:
        return data, decode_manifest(data)
    except PackError as error:
        raise DeltaError(str(error)) from None


def _content(old: Pack, file: _File, size: int, main: bytes) -> bytes:
    if file.base and file.base not in old.manifest.files:
        raise DeltaError(f"{file.name}: the old pack has no {file.base[:64]!r}")
    before = _read(old, file.base) if file.base else b""
    if isinstance(file.how, bytes):
        return patch.apply(before, file.how, size)
    return model.apply(before, file.how, size, main)


def apply(old: Pack, data: bytes, expected: str | None = None) -> bytes:
    """Return the archive of the pack that the delta `data` makes of `old`: the very bytes of `protocols.pack.archive`.

    `expected` is the address that the result must have; where None, the one that the delta announces. Raises DeltaError
    for anything that is wrong with it.
    """
    delta = _decode(data)
    if expected is not None and delta.new != expected:
        raise DeltaError(f"it leads to pack {delta.new[:12]}, wanted is {expected[:12]}")
    encoded, manifest = _manifest(old, delta)
    files = {file.name: file for file in delta.files}
    kept = {entry.sha256: name for name, entry in old.manifest.files.items()}
    contents: dict[str, bytes] = {}
    main = _main(manifest)
    for name in sorted(manifest.files, key=lambda n: n != main):  # what others are made of comes first
        entry = manifest.files[name]
        if entry.sha256 in kept:
            contents[name] = _read(old, kept[entry.sha256])
        elif name in files:
            contents[name] = _content(old, files[name], entry.size, contents.get(main, b""))
        else:
            raise DeltaError(f"it lacks {name}")
        if len(contents[name]) != entry.size or hashlib.sha256(contents[name]).hexdigest() != entry.sha256:
            raise DeltaError(f"{name}: the result is not what the manifest says; get the whole pack")
    return archive_of({MANIFEST: encoded, **{name: contents[name] for name in manifest.files}})
