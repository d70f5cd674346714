"""What is wrong with a camera, told once when it begins and once when it is over.

    what is wrong now, by kind -> Alerts.changes -> events to raise and to clear

Kinds are short words (``away``, ``redact``); the text may change while the alert stands, as a camera's reason does.
"""

from __future__ import annotations

from collections.abc import Mapping


class Alerts:
    """The alerts of one camera that stand."""

    def __init__(self) -> None:
        self.standing: dict[str, str] = {}
        """Text by kind, as it was when raised."""

    def changes(self, wrong: Mapping[str, str]) -> list[tuple[str, bool]]:
        """Return (text, raised) for each alert that begins or ends, given what is `wrong` now; first those that end."""
        over = [self.standing.pop(kind) for kind in list(self.standing) if kind not in wrong]
        new = {kind: text for kind, text in wrong.items() if kind not in self.standing}
        self.standing |= new
        return [(text, False) for text in over] + [(text, True) for text in new.values()]


class Patience:
    """Says when something that is usual for a moment has lasted for `seconds`."""

    def __init__(self) -> None:
        self._since: float | None = None

    def lasts(self, now: float, wrong: bool, seconds: float) -> bool:
        """Say whether it has been `wrong` for `seconds` at monotonic time `now`. Call again and again."""
        if not wrong:
            self._since = None
            return False
        self._since = now if self._since is None else self._since
        return now - self._since >= seconds
