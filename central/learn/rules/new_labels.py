"""So many frames were labelled since the last round."""

from __future__ import annotations

from central.learn.rules import State, Wanted


class NewLabels:
    """Counts frames, as people answer frames."""

    name = "new-labels"
    about = "enough frames were labelled since the last round"

    def wish(self, wanted: Wanted) -> str:
        """Return how many."""
        return "" if wanted.labels is None else f"from {wanted.labels} newly labelled frames"

    def due(self, state: State, wanted: Wanted) -> str | None:
        """Return why a round is due now."""
        if wanted.labels is None or state.new < wanted.labels:
            return None
        return f"{state.new} frames were labelled since the last round; one starts from {wanted.labels}"


RULE = NewLabels()
