"""Who a node is across restarts: its name, and which start of the program this is.

`identity.json` counts the starts; with a random part it makes the boot id, so that frame numbers, which begin at zero
with each start, can never be mistaken for those of another start, even on a restored backup or a read-only disk.
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


def next_boot(data: Path, node: str) -> str:
    """Count a start in folder `data` and return its boot id. A disk that cannot be written only costs the count."""
    path = data / NAME
    stored = _Stored()
    with contextlib.suppress(OSError, msgspec.MsgspecError, ValueError):
        stored = msgspec.json.decode(path.read_bytes(), type=_Stored)
    starts = stored.starts + 1
    try:
        files.write_atomic(path, msgspec.json.encode(_Stored(node=node, starts=starts)))
    except OSError as error:
        log.warning("the number of starts cannot be kept", file=str(path), reason=error.strerror)
    return f"{starts:06d}-{secrets.token_hex(4)}"
