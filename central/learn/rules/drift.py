"""A camera changed, and enough of its new frames were labelled for a round to learn from."""

from __future__ import annotations

from central.learn.rules import State, Wanted


class Drift:
    """Waits for labels: without any of the changed camera there is nothing to learn from."""

    name = "drift"
    about = "a camera changed, and enough frames of it were labelled since"

    def wish(self, wanted: Wanted) -> str:
        """Return how many."""
        if wanted.drift_labels is None:
            return ""
        return f"from {wanted.drift_labels} newly labelled frames of a camera that changed"

    def due(self, state: State, wanted: Wanted) -> str | None:
        """Return why a round is due now."""
        if wanted.drift_labels is None:
            return None
        ready = {camera: count for camera, count in state.drifting.items() if count >= wanted.drift_labels}
        if not ready:
            return None
        listed = ", ".join(f"{camera} ({count} newly labelled frames)" for camera, count in sorted(ready.items()))
        return f"drift of {listed}; a round starts from {wanted.drift_labels} of one camera"


RULE = Drift()
