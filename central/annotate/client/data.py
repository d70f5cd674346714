"""Data: search, snapshots, the profile."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal

from central.annotate.client.base import Connection
from central.annotate.profile import Profile
from central.api import schemas as s


class Data(Connection):
    """What is done with all frames at once. Everything raises ClientError."""

    def search(self, **what: Any) -> Iterator[s.SearchItem]:
        """Yield the frames for which all of it holds, newest or most alike first.

        `what`: ``node``, ``camera``, ``site``, ``since``, ``until`` (aware times), ``state``, ``label``, ``kind``,
        ``min_score``, ``max_score``, ``present`` and ``absent`` (lists of tags), ``like`` (id of a frame).
        """
        plain = {name: value.isoformat() if hasattr(value, "isoformat") else value for name, value in what.items()}
        return self._pages(s.SearchPage, "/search", **plain)

    def facets(self) -> s.SearchFacets:
        """Return what there is to look for."""
        return self._view(s.SearchFacets, "GET", "/search/facets")

    def profile(self) -> s.ProfileState:
        """Return what the project labels, and its version."""
        return self._view(s.ProfileState, "GET", "/profile")

    def change_profile(
        self, version: int, profile: Profile, note: str = "",
        renamed: Mapping[str, str] | None = None, removed: Mapping[str, Literal["delete", "keep"]] | None = None,
        renamed_tags: Mapping[str, str] | None = None,
        removed_tags: Mapping[str, Literal["delete", "keep"]] | None = None,
    ) -> s.ProfileState:  # fmt: skip
        """Change the profile that had `version`. Raises ConflictError; ClientError ``in_use`` for a label of frames
        of which nothing was said."""
        body = s.ProfileBody(
            version=version, profile=profile, note=note, renamed=dict(renamed or {}), removed=dict(removed or {}),
            renamed_tags=dict(renamed_tags or {}), removed_tags=dict(removed_tags or {}),
        )  # fmt: skip
        return self._view(s.ProfileState, "PUT", "/profile", body)

    def profile_history(self) -> list[s.ProfileVersionView]:
        """Return the last edits of the profile, newest first."""
        return self._list(s.ProfileVersionView, "/profile/history")

    def profile_use(self) -> s.ProfileUse:
        """Return how often each label and tag was given."""
        return self._view(s.ProfileUse, "GET", "/profile/use")

    def snapshots(self) -> Iterator[s.SnapshotView]:
        """Yield the snapshots, newest first."""
        return self._pages(s.SnapshotPage, "/snapshots")

    def take_snapshot(self, name: str = "") -> s.SnapshotView:
        """Keep all labelled frames with the answers that they have now."""
        return self._view(s.SnapshotView, "POST", "/snapshots", {"name": name})

    def snapshot(self, address: str) -> s.SnapshotView:
        """Return one snapshot."""
        return self._view(s.SnapshotView, "GET", f"/snapshots/{address}")

    def check_snapshot(self, address: str) -> s.SnapshotCheck:
        """Say whether a snapshot is what it was."""
        return self._view(s.SnapshotCheck, "GET", f"/snapshots/{address}/check")

    def diff(self, address: str, to: str) -> s.DifferenceView:
        """Return what snapshot `to` has that `address` has not."""
        return self._view(s.DifferenceView, "GET", f"/snapshots/{address}/diff", to=to)
