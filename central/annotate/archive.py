"""A data set that comes as a ZIP file, unpacked where nothing of it can do harm.

Refused are names that lead out of the folder, links, files that grow more than a text can, and more than fits.
"""

from __future__ import annotations

import shutil
import stat
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from central.annotate.formats import FormatError
from central.annotate.formats.reading import safe_name

MAX_FILES: Final = 1_000_000
MAX_BYTES: Final = 64 * 1024**3
"""Of all files, unpacked; a set of 100,000 frames has 20 GB."""
MAX_RATIO: Final = 200
"""Of unpacked to packed bytes; labels in XML reach 30."""
SMALL: Final = 1024 * 1024
"""Bytes below which no file is a bomb."""
CHUNK: Final = 1 << 20


def _check(path: Path, entries: list[zipfile.ZipInfo]) -> None:
    if len(entries) > MAX_FILES:
        raise FormatError(f"{path}: {len(entries)} files, more than {MAX_FILES}")
    if sum(entry.file_size for entry in entries) > MAX_BYTES:
        raise FormatError(f"{path}: more than {MAX_BYTES} bytes when unpacked")
    for entry in entries:
        safe_name(path, entry.filename)
        if stat.S_ISLNK(entry.external_attr >> 16):
            raise FormatError(f"{path}: {entry.filename[:100]!r} is a link")
        if entry.file_size > SMALL and entry.file_size > MAX_RATIO * max(1, entry.compress_size):
            raise FormatError(f"{path}: {entry.filename[:100]!r} would grow to {entry.file_size} bytes")


def _unpack(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, target: Path, path: Path) -> None:
    """Write one file; never more than its entry says."""
    target.parent.mkdir(parents=True, exist_ok=True)
    left = entry.file_size
    with archive.open(entry) as source, target.open("xb") as out:
        while data := source.read(CHUNK):
            left -= len(data)
            if left < 0:
                raise FormatError(f"{path}: {entry.filename[:100]!r} is larger than it says")
            out.write(data)


def _all(path: Path, folder: Path) -> None:
    try:
        with zipfile.ZipFile(path) as archive:
            _check(path, archive.infolist())
            need = sum(entry.file_size for entry in archive.infolist())
            if need > shutil.disk_usage(folder).free:
                raise FormatError(f"{path}: {need} bytes when unpacked, more than {folder} has room for")
            for entry in archive.infolist():
                if not entry.is_dir():
                    _unpack(archive, entry, folder / safe_name(path, entry.filename), path)
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, EOFError, ValueError) as error:
        raise (
            error if isinstance(error, FormatError) else FormatError(f"{path}: not a sound ZIP file: {error}")
        ) from None
    except OSError as error:
        raise FormatError(f"{path}: cannot be unpacked: {error.strerror or error}") from None


@contextmanager
def opened(path: Path) -> Iterator[Path]:
    """Give the data set at `path`: as it is, or, where it is a ZIP file, unpacked for as long as the block lasts.

    A ZIP file with one folder, and nothing beside it, gives that folder; one with one file, that file. Raises
    FormatError.
    """
    if path.suffix.lower() != ".zip":
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="wayside-") as scratch:
        folder = Path(scratch)
        _all(path, folder)
        inside = list(folder.iterdir())
        yield inside[0] if len(inside) == 1 else folder
