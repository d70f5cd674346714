"""Operating a centre: its servers, what is stored, what is kept for how long, what is held, what was deleted."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from central.annotate.client.base import Connection
from central.api import schemas as s

EVERY_SITE: Final = "every-site"
"""Names the rule of all sites that have none of their own."""


class Operating(Connection):
    """What operators see to. Everything raises ClientError; retention and holds are for admins."""

    def servers(self) -> s.ServersView:
        """Return the servers of the centre, and who does what for all."""
        return self._view(s.ServersView, "GET", "/servers")

    def storage(self) -> s.StorageView:
        """Return frames and bytes of each camera; it is counted once a minute at most."""
        return self._view(s.StorageView, "GET", "/storage")

    def retention(self) -> s.RetentionView:
        """Return which rules count, and what came of the last run."""
        return self._view(s.RetentionView, "GET", "/retention")

    def preview_retention(self, rule: s.RuleBody, site: str = EVERY_SITE) -> s.PreviewView:
        """Return what the next run would delete if `rule` were that of `site`; nothing is changed."""
        return self._view(s.PreviewView, "POST", f"/retention/rules/{site}/preview", rule)

    def set_retention(self, rule: s.RuleBody, site: str = EVERY_SITE) -> s.RuleOfSite:
        """Set the rule of `site`. Look at the preview first: what a run deleted is gone."""
        return self._view(s.RuleOfSite, "PUT", f"/retention/rules/{site}", rule)

    def drop_retention(self, site: str = EVERY_SITE) -> None:
        """Take the rule of `site` back: then that of every site counts, or that of the settings."""
        self._send("DELETE", f"/retention/rules/{site}")

    def holds(self) -> list[s.HoldView]:
        """Return what is kept whatever the rules say, newest first."""
        return self._list(s.HoldView, "/retention/holds")

    def hold_frame(self, frame: str, reason: str) -> s.HoldView:
        """Keep a frame until the hold is taken back."""
        return self._view(s.HoldView, "POST", "/retention/holds", s.HoldBody(frame=frame, reason=reason))

    def hold_camera(self, node: str, camera: str, reason: str) -> s.HoldView:
        """Keep all frames of a camera, also those to come, until the hold is taken back."""
        return self._view(s.HoldView, "POST", "/retention/holds", s.HoldBody(node=node, camera=camera, reason=reason))

    def unhold(self, number: int) -> None:
        """Take a hold back: the next run deletes what the rules say."""
        self._send("DELETE", f"/retention/holds/{number}")

    def deletions(self, limit: int = 50) -> list[s.DeletionRunView]:
        """Return the last runs that deleted something, at most 500, newest first."""
        return self._list(s.DeletionRunView, "/retention/runs", limit=limit)

    def save_deletions(self, path: Path, since: int = 1) -> None:
        """Write the signed record of what was deleted, from run `since` on, to `path`, whole or not at all. Check it
        with ``wayside-central retention verify``. Raises OSError, too."""
        part = path.with_name(f"{path.name}.part")
        try:
            with part.open("wb") as file, self._stream("/retention/record", since=since) as answer:
                for piece in answer.iter_bytes():
                    file.write(piece)
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)
