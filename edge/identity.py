"""Who a node is across restarts: its name, and which start of the program this is.

`identity.json` counts the starts; with a random part it makes the boot id, so that frame numbers, which begin at zero
with each start, can never be mistaken for those of another start, even on a restored backup or a read-only disk. It
also counts the starts that followed no clean stop.
"""

from __future__ import annotations

import contextlib
import secrets
from pathlib import Path
from typing import Final

import msgspec
import structlog

from protocols import files
from protocols.messages import Count, Message

log = structlog.get_logger("edge.identity")

NAME: Final = "identity.json"


class _Stored(Message, frozen=True, kw_only=True):
    node: str = ""
    starts: Count = 0
    crashes: Count = 0
    stopped: bool = True
    """Whether the last start was followed by a clean stop."""


def _read(data: Path) -> _Stored | None:
    try:
        return msgspec.json.decode((data / NAME).read_bytes(), type=_Stored)
    except (OSError, msgspec.MsgspecError, ValueError):
        return None


def next_boot(data: Path, node: str) -> str:
    """Count a start in folder `data` and return its boot id. A disk that cannot be written only costs the count."""
    stored = _read(data) or _Stored()
    starts, crashes = stored.starts + 1, stored.crashes + (not stored.stopped)
    try:
        now = _Stored(node=node, starts=starts, crashes=crashes, stopped=False)
        files.write_atomic(data / NAME, msgspec.json.encode(now))
    except OSError as error:
        log.warning("the number of starts cannot be kept", file=str(data / NAME), reason=error.strerror)
    return f"{starts:06d}-{secrets.token_hex(4)}"


def crashes(data: Path) -> int | None:
    """Return how many starts followed no clean stop, since `data` was made; None where nobody counts."""
    stored = _read(data)
    return None if stored is None else stored.crashes


def stopped(data: Path) -> None:
    """Note a clean stop. A disk that cannot be written makes it count as a crash."""
    stored = _read(data)
    if stored is not None:
        with contextlib.suppress(OSError):
            files.write_atomic(data / NAME, msgspec.json.encode(msgspec.structs.replace(stored, stopped=True)))
