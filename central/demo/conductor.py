"""What a team would do between the steps: start a round when there is something to learn, release what came of it.

It works through the HTTP API alone, like anybody who is logged in.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from central.annotate.client import Client, ClientError
from central.api.schemas import Overview, RoundView

ROUND_EVERY: Final = 16
"""Newly labelled frames that are worth a round of a minute or two."""
TOLERATED: Final = 0.02
"""AP50 that a round may lose, which is noise."""
FEW: Final = 60
"""Labelled frames below which a dozen at most are held back: they can show that a pack is broken, and no more."""
BROKEN: Final = 0.5
"""Share of the AP50 before under which even a few frames speak against a pack."""


def worth_releasing(done: RoundView) -> bool:
    """Say whether a finished round's pack should run: it is there, no gate holds it, and it was not judged worse."""
    if done.state != "done" or done.pack is None or done.offered is False:
        return False
    if done.ap50_before is None or done.ap50_after is None:
        return True
    if done.frames < FEW:
        return done.ap50_after >= done.ap50_before * BROKEN
    return done.ap50_after >= done.ap50_before - TOLERATED


@dataclass
class Conductor:
    """Decides, step by step, on what the overview says."""

    client: Client
    every: int = ROUND_EVERY
    learned: int | None = None
    """Labelled frames when the last round was started."""
    handled: set[str] = field(default_factory=set)
    """Rounds whose pack was released, or was not worth it."""
    said: str = ""
    """The last thing that it did, in words."""

    def step(self) -> Overview:
        """Look, and do what is due. Raises ClientError."""
        overview = self.client.overview()
        latest = overview.round
        if self.learned is None:  # a demo that is started again goes on from where it was
            self.learned = latest.frames if latest is not None else 0
            self.handled = {r.id for r in self.client.rounds()}
        if latest is not None and latest.state in ("done", "failed") and latest.id not in self.handled:
            self._finish(latest)
        elif self._due(latest, overview.totals.labelled):
            self._begin(overview.totals.labelled)
        return overview

    def _due(self, latest: RoundView | None, labelled: int) -> bool:
        idle = latest is None or latest.state in ("done", "failed")
        return idle and labelled - (self.learned or 0) >= self.every

    def _begin(self, labelled: int) -> None:
        try:
            started = self.client.start_round()
        except ClientError as error:
            self.said = f"no round yet: {error}"
            return
        self.learned = labelled
        self.said = f"round {started.id} learns from {labelled} frames"

    def _finish(self, latest: RoundView) -> None:
        self.handled.add(latest.id)
        if not worth_releasing(latest):
            self.said = f"round {latest.id} is not released: {latest.detail}"
            return
        release = self.client.release(str(latest.pack), f"round {latest.id}: {latest.detail}"[:500])
        self.said = f"release {release.number}: {release.name}"
