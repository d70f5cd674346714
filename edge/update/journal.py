"""What was decided about releases, durable before it is done.

`<data>/update.json` holds the number of the last committed release, how the last finished one ended, and the one under
way. It is replaced atomically and fsynced; a file that cannot be read counts as empty and is put aside, because a node
must start in any case.
"""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Annotated, Final

import msgspec
import structlog
from msgspec import Meta

from protocols import files
from protocols.messages import Count, Digest, Message, Release, Step, Text, Update, utc_now

log = structlog.get_logger("edge.update")

NAME: Final = "update.json"
MAX_STARTS: Final = 5
"""Starts of the program within one update, after which it is given up: whatever kills the node, it ends."""


class Active(Message, frozen=True, kw_only=True):
    """The update under way."""

    release: Release
    step: Step = "announced"
    starts: Annotated[int, Meta(ge=1)] = 1


class Finished(Message, frozen=True, kw_only=True):
    """How an update ended."""

    number: Annotated[int, Meta(ge=1)]
    pack: Digest
    step: Step
    reason: Text = ""


class State(Message, frozen=True, kw_only=True):
    """The journal's content."""

    committed: Count = 0
    """Number of the release that `current` came with; 0 where there is none."""
    floor: Count = 0
    """No release with this number or a lower one is begun: the highest one that was finished, whichever way."""
    finished: Finished | None = None
    active: Active | None = None


class Journal:
    """The journal in folder `data`. Used by one thread."""

    def __init__(self, data: Path) -> None:
        self._path = data / NAME
        self.state = self._read()

    def _read(self) -> State:
        try:
            return msgspec.json.decode(self._path.read_bytes(), type=State)
        except FileNotFoundError:
            return State()
        except (OSError, msgspec.MsgspecError, ValueError) as error:
            log.warning("the update journal cannot be read; starting a new one", reason=str(error)[:200])
            with contextlib.suppress(OSError):
                self._path.rename(self._path.with_suffix(".damaged"))
            return State()

    def _write(self, state: State) -> None:
        files.write_atomic(self._path, msgspec.json.format(msgspec.json.encode(state), indent=1))
        self.state = state

    def begin(self, release: Release) -> None:
        """Note the intent to install `release`. Raises OSError."""
        self._write(msgspec.structs.replace(self.state, active=Active(release=release)))

    def step(self, step: Step) -> None:
        """Note that `step` of the active update begins. Raises OSError."""
        active = self._active()
        self._write(msgspec.structs.replace(self.state, active=msgspec.structs.replace(active, step=step)))

    def restarted(self) -> int:
        """Count a start of the program within the active update and return how many there were. Raises OSError."""
        active = self._active()
        active = msgspec.structs.replace(active, starts=active.starts + 1)
        self._write(msgspec.structs.replace(self.state, active=active))
        return active.starts

    def finish(self, step: Step, reason: str = "") -> None:
        """Note how the active update ended: ``committed`` or ``rolled-back``. Raises OSError."""
        release = self._active().release
        done = Finished(number=release.number, pack=release.pack, step=step, reason=reason)
        self._write(
            State(
                committed=release.number if step == "committed" else self.state.committed,
                floor=max(self.state.floor, release.number),
                finished=done,
                active=None,
            )
        )

    def _active(self) -> Active:
        if self.state.active is None:
            raise ValueError("no update is under way")
        return self.state.active


def update_message(
    node: str, boot: str, release: Release, step: Step, progress: float = 0.0, reason: str = ""
) -> Update:
    """Return the message that reports `step` of `release`."""
    return Update(
        node=node, boot=boot, time=utc_now(), release=release.number, pack=release.pack, step=step,
        progress=min(1.0, max(0.0, progress)), reason=reason[:2000],
    )  # fmt: skip
