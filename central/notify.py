"""Who in this process wants to know that something changed: a list of listeners, told what kind of thing it was."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

Kind = Literal["node", "frame", "round", "release", "update", "label", "job"]
Listener = Callable[[Kind], None]


class Notifier:
    """Tells every listener. Only to be used from the event loop's thread; listeners must return at once."""

    def __init__(self) -> None:
        self._listeners: list[Listener] = []
        self._ends: list[Callable[[], None]] = []

    def listen(self, listener: Listener, end: Callable[[], None] | None = None) -> Callable[[], None]:
        """Tell `listener` of every change from now on, and call `end` when no more will come; what is returned ends
        that."""
        self._listeners.append(listener)
        if end is not None:
            self._ends.append(end)

        def stop() -> None:
            self._listeners.remove(listener)
            if end is not None:
                self._ends.remove(end)

        return stop

    def end(self) -> None:
        """Say that this server ends: whoever holds a stream open closes it, and its reader asks another one."""
        for end in list(self._ends):
            end()

    def emit(self, kind: Kind) -> None:
        """Say that something of `kind` changed."""
        for listener in list(self._listeners):
            listener(kind)
