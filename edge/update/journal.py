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
from protocols.messages import MAX_TEXT, Count, Digest, Message, Release, Shadow, Step, Text, Update, utc_now

log = structlog.get_logger("edge.update")

NAME: Final = "update.json"
MAX_STARTS: Final = 5
"""Starts of the program within one update; with the last of them it is given up: whatever kills the node, it ends."""
MAX_TRIALS: Final = 2
"""Times that the node may end while a new pack is on trial: once may be a power cut."""


class Active(Message, frozen=True, kw_only=True):
    """The update under way."""

    release: Release
    step: Step = "announced"
    starts: Annotated[int, Meta(ge=1)] = 1
    trials: Count = 0
    """Times that the node itself began to use the pack."""
    proven: bool = False
    """Whether a trial went well, so that `current` may name the pack."""
    shadow: Shadow | None = None


class Finished(Message, frozen=True, kw_only=True):
    """How an update ended."""

    number: Annotated[int, Meta(ge=1)]
    pack: Digest
    step: Step
    reason: Text = ""
    failed: Step | None = None
    starts: Annotated[int, Meta(ge=1)] | None = None
    shadow: Shadow | None = None


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
        self._change(step=step)

    def restarted(self) -> None:
        """Count a start of the program within the active update. Raises OSError."""
        active = self._active()
        self._change(starts=active.starts + 1)

    def last_start(self) -> bool:
        """Say whether the program just started for the last time within the active update.

        Then its end is all that is written: a node that is killed at its first writes for ever would else never come to
        the second one.
        """
        return self._active().starts + 1 >= MAX_STARTS

    def saw(self, shadow: Shadow | None) -> None:
        """Note what was seen of the pack in the shadow run. Raises OSError."""
        if shadow is not None:
            self._change(shadow=shadow)

    def on_trial(self) -> None:
        """Note that the node begins to use the pack. Raises OSError."""
        self._change(trials=self._active().trials + 1)

    def proven(self) -> None:
        """Note that the trial went well: from here on `current` may name the pack. Raises OSError."""
        self._change(proven=True)

    def _change(self, **fields: object) -> None:
        active = msgspec.structs.replace(self._active(), **fields)
        self._write(msgspec.structs.replace(self.state, active=active))

    def finish(self, step: Step, reason: str = "", failed: Step | None = None) -> None:
        """Note how the active update ended: ``committed`` or ``rolled-back``, then at step `failed`. Raises OSError."""
        active = self._active()
        release = active.release
        done = Finished(
            number=release.number, pack=release.pack, step=step, reason=reason[:MAX_TEXT], failed=failed,
            starts=active.starts, shadow=active.shadow,
        )  # fmt: skip
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


def update_message(node: str, boot: str, release: Release, step: Step, progress: float = 0.0) -> Update:
    """Return the message that reports `step` of `release`, which is under way."""
    return Update(
        node=node, boot=boot, time=utc_now(), release=release.number, pack=release.pack, step=step,
        progress=min(1.0, max(0.0, progress)),
    )  # fmt: skip


def final_message(node: str, boot: str, done: Finished) -> Update:
    """Return the message that reports how an update ended."""
    return Update(
        node=node, boot=boot, time=utc_now(), release=done.number, pack=done.pack, step=done.step, progress=1.0,
        reason=done.reason, failed=done.failed, starts=done.starts, shadow=done.shadow,
    )  # fmt: skip
