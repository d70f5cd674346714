"""The short way to a pack: a delta from the one that runs. Whatever is wrong with it, the whole pack is fetched.

A delta needs no signature: what comes of it must be the archive that was signed, to the byte. That it is applied is
noted on the disk first, so that a delta on which a node dies is not met again at its next start; one that was on its
way goes on behind its last byte.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Final

import structlog

from edge.update import UpdateError
from edge.update.fetchers import Fetcher, Progress, Stop, part_path
from edge.update.pointer import PACKS
from protocols import delta, files
from protocols.delta import DeltaError
from protocols.pack import Pack, PackError, open_folder
from protocols.trust.verify import Approved, MissingError

log = structlog.get_logger("edge.update")

TRIED: Final = ".tried"


def obtain(
    data: Path, fetcher: Fetcher, running: str, address: str, approved: Approved, progress: Progress, stop: Stop
) -> bool:
    """Put the archive of pack `address` where `fetcher` keeps it, made of the pack that is `running` and a delta.

    False where there is none that serves; nothing is left behind then. Raises OSError where the disk fails, and
    InterruptedError once `stop` says so.
    """
    path = part_path(data, address)
    mark = path.with_suffix(TRIED)
    if path.exists() or mark.exists() or running == address:
        return False
    whole, change = None, None
    try:
        old = open_folder(data / PACKS / running)
        change = fetcher.delta(delta.file_name(running, address), approved.length, progress, stop)
        files.write_atomic(mark, b"")
        whole = _made(old, address, approved, change)
    except MissingError:
        return False
    except (UpdateError, PackError) as error:
        log.warning("no delta to this pack serves; fetching the whole of it", pack=address[:12], reason=str(error))
    if whole is not None:
        files.write_atomic(path, whole)
    if change is not None:
        change.unlink(missing_ok=True)
    mark.unlink(missing_ok=True)
    return whole is not None


def _made(old: Pack, address: str, approved: Approved, path: Path) -> bytes | None:
    try:
        change = path.read_bytes()
        whole = delta.apply(old, change, address)
    except (DeltaError, MemoryError) as error:
        log.warning("no delta to this pack serves; fetching the whole of it", pack=address[:12], reason=str(error))
        return None
    if len(whole) != approved.length or hashlib.sha256(whole).hexdigest() != approved.sha256:
        log.warning("a delta leads to another archive than was signed; fetching the whole of it", pack=address[:12])
        return None
    log.info("pack made of the one before", pack=address[:12], bytes=len(change), whole=len(whole))
    return whole
