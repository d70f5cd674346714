"""Who in this process wants to know that something changed: a list of listeners, told what kind of thing it was."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

Kind = Literal["node", "frame", "round", "release", "update", "label"]
Listener = Callable[[Kind], None]


class Notifier:
    """Tells every listener. Only to be used from the event loop's thread; listeners must return at once."""

    def __init__(self) -> None:
        self._listeners: list[Listener] = []

    def listen(self, listener: Listener) -> Callable[[], None]:
        """Tell `listener` of every change from now on; what is returned ends that."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    def emit(self, kind: Kind) -> None:
        """Say that something of `kind` changed."""
        for listener in list(self._listeners):
            listener(kind)
