"""Deltas as files: written only where they are smaller than the pack, read back into a pack."""

from __future__ import annotations

import tempfile
from pathlib import Path

import msgspec

from protocols import delta, files
from protocols.delta import DeltaError
from protocols.pack import MANIFEST, MAX_PACK, SUFFIX, Pack, archive, unpack


class Written(msgspec.Struct, frozen=True):
    """A delta. old and new: addresses; bytes of it; full: of the new pack's archive; path: empty where not written."""

    old: str
    new: str
    bytes: int
    full: int
    path: str

    @property
    def share(self) -> float:
        """Size over that of the new pack's archive."""
        return self.bytes / self.full


def write(old: Pack, new: Pack, path: Path) -> Written:
    """Write the delta from `old` to `new` to `path`, unless the archive of `new` is no larger. Raises DeltaError."""
    data, full = delta.make(old, new), len(archive(new))
    smaller = len(data) < full
    if smaller:
        files.write_atomic(path, data)
    return Written(old.address, new.address, len(data), full, str(path) if smaller else "")


def read(old: Pack, path: Path, out: Path) -> Pack:
    """Write the pack that the delta at `path` makes of `old` to `out`, a folder or an archive. Raises DeltaError."""
    if path.stat().st_size > MAX_PACK:
        raise DeltaError(f"{path}: more than the {MAX_PACK} bytes that a delta may have")
    try:
        whole = delta.apply(old, path.read_bytes())
    except DeltaError as error:
        raise DeltaError(f"{path}: {error}") from None
    with tempfile.TemporaryDirectory(prefix="wayside-") as scratch:
        file = Path(scratch) / f"new{SUFFIX}"
        file.write_bytes(whole)
        made = unpack(file, Path(scratch))
        if out.suffix == SUFFIX:
            files.write_atomic(out, whole)
            return made
        out.mkdir(parents=True, exist_ok=True)
        for name in (*made.manifest.files, MANIFEST):
            files.write_atomic(out / name, (made.folder / name).read_bytes())
    return made
