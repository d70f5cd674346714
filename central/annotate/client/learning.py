"""Rounds, packs, releases, rollouts, and the nodes that they reach."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal

from central.annotate.client.base import Connection
from central.api import schemas as s


class Learning(Connection):
    """From labels to nodes. Everything raises ClientError."""

    def overview(self) -> s.Overview:
        """Return nodes, totals and where the loop stands."""
        return self._view(s.Overview, "GET", "/overview")

    def thumbnail(self, node: str, camera: str) -> bytes:
        """Return the newest JPEG of a camera."""
        return self._send("GET", f"/nodes/{node}/cameras/{camera}/thumbnail")

    def timeline(
        self, node: str, camera: str, begin: datetime | None = None, end: datetime | None = None, points: int = 120
    ) -> s.TimelineView:
        """Return how a camera went; `begin` and `end` are aware times, the last day where they are absent."""
        times = {"from": begin and begin.isoformat(), "to": end and end.isoformat()}
        path = f"/nodes/{node}/cameras/{camera}/timeline"
        return self._view(s.TimelineView, "GET", path, points=points, **times)

    def trends(self) -> s.TrendsView:
        """Return blur and uncertainty of every camera over the last day."""
        return self._view(s.TrendsView, "GET", "/trends")

    def command(self, node: str, action: str, camera: str = "") -> s.CommandResult:
        """Ask something of a node: ``snapshot``, ``pause``, ``resume`` or ``restart``."""
        body = {"action": action} | ({"camera": camera} if camera else {})
        return self._view(s.CommandResult, "POST", f"/nodes/{node}/command", body)

    def policies(self) -> list[s.PolicyView]:
        """Return what nodes are told to select."""
        return self._list(s.PolicyView, "/policies")

    def set_policy(self, node: str, policy: s.PolicyBody) -> s.PolicyView:
        """Tell a node what to select."""
        return self._view(s.PolicyView, "PUT", f"/policies/{node}", policy)

    def accuracy(self, **what: Any) -> list[s.AccuracyView]:
        """Return how accurate packs are in the field, from chance frames that people answered."""
        return self._list(s.AccuracyView, "/accuracy", **what)

    def start_round(self, epochs: int | None = None, **how: Any) -> s.RoundView:
        """Start a round; `how` as in `RoundBody`. ClientError ``busy`` while one runs."""
        return self._view(s.RoundView, "POST", "/rounds", s.RoundBody(epochs=epochs, **how))

    def round(self, round_id: str) -> s.RoundView:
        """Return a round."""
        return self._view(s.RoundView, "GET", f"/rounds/{round_id}")

    def rounds(self) -> list[s.RoundView]:
        """Return the last rounds, newest first."""
        return self._list(s.RoundView, "/rounds")

    def round_report(self, round_id: str) -> bytes:
        """Return the report of a round, one HTML page."""
        return self._send("GET", f"/rounds/{round_id}/report")

    def cancel_round(self, round_id: str) -> s.RoundView:
        """Stop a round."""
        return self._view(s.RoundView, "POST", f"/rounds/{round_id}/cancel")

    def rules(self) -> s.RulesView:
        """Return the rules that start rounds."""
        return self._view(s.RulesView, "GET", "/rules")

    def drift(self, **what: str) -> s.DriftView:
        """Return how cameras changed; `what`: ``node``, ``camera``."""
        return self._view(s.DriftView, "GET", "/drift", **what)

    def packs(self) -> list[s.PackView]:
        """Return the last packs, newest first."""
        return self._list(s.PackView, "/packs")

    def pack_diff(self, address: str, to: str) -> s.PackDiff:
        """Return what changed from one pack to another."""
        return self._view(s.PackDiff, "GET", f"/packs/{address}/diff", to=to)

    def override(self, address: str, reason: str) -> s.PackView:
        """Let a pack be released although a gate speaks against it."""
        return self._view(s.PackView, "POST", f"/packs/{address}/override", {"reason": reason})

    def releases(self) -> list[s.ReleaseView]:
        """Return the last releases, newest first."""
        return self._list(s.ReleaseView, "/releases")

    def release(self, pack: str, notes: str = "") -> s.ReleaseView:
        """Offer a registered pack to every node."""
        return self._view(s.ReleaseView, "POST", "/releases", {"pack": pack, "notes": notes})

    def rollouts(self) -> list[s.RolloutSummary]:
        """Return the last rollouts, newest first."""
        return self._list(s.RolloutSummary, "/rollouts")

    def rollout(self, number: int) -> s.RolloutView:
        """Return a rollout with its waves, nodes, gates and history."""
        return self._view(s.RolloutView, "GET", f"/rollouts/{number}")

    def preview_rollout(self, plan: Mapping[str, Any]) -> list[s.PlanWaveView]:
        """Return the waves that a plan would make."""
        found = self.call("POST", "/rollouts/preview", {"plan": dict(plan)})
        return [s.PlanWaveView.model_validate(one) for one in found]

    def plan_rollout(
        self, pack: str, plan: Mapping[str, Any] | None = None, notes: str = "", start: bool = False
    ) -> s.RolloutView:
        """Plan to take a pack through the fleet in waves, or begin at once."""
        body = {"pack": pack, "plan": dict(plan or {}), "notes": notes, "start": start}
        return self._view(s.RolloutView, "POST", "/rollouts", body)

    def decide_rollout(
        self, number: int, action: Literal["start", "pause", "resume", "abort", "rollback"], revision: int,
        reason: str = "", gates: Mapping[str, Any] | None = None,
    ) -> s.RolloutView:  # fmt: skip
        """Decide about a rollout as it was at `revision`. Raises ConflictError; ClientError ``wrong_state``."""
        body = {"revision": revision, "reason": reason, "gates": dict(gates or {})}
        return self._view(s.RolloutView, "POST", f"/rollouts/{number}/{action}", body)

    def rollout_effect(self, number: int, wave: int | None = None) -> s.EffectView:
        """Return how nodes fared before and after."""
        return self._view(s.EffectView, "GET", f"/rollouts/{number}/effect", wave=wave)
