"""Where a job runs on a Ray cluster: an actor that outlives whoever started it.

    begin(request)      the function, in a thread; asked twice, it begins once
    poll(seen, printed) what it reported and printed since, and how it ended
    leave()             ends the actor a little later: the centre must have committed the result first

It is detached and known by name, so that a centre that starts anew finds it. One that nobody asks for hours ends
itself. Everything stays in its memory: a request may hold passwords.
"""

from __future__ import annotations

import io
import os
import sys
import threading
import time
from collections.abc import Mapping
from typing import Any, Final, TextIO

from central.jobs.worker import answer

MAX_REPORTS: Final = 500
"""Newest reports that are kept for who asks next."""
MAX_PRINTED: Final = 64 * 1024
"""Newest characters of the output that are kept."""
ABANDONED_S: Final = 6 * 3600.0
"""Without a question for so long (a night, nearly), the centre will not come back for it."""
LINGER_S: Final = 5.0
"""From the end of a job to that of its actor."""
WATCH_S: Final = 60.0


class Tape(io.TextIOBase):
    """Passes text on and remembers the end of it."""

    def __init__(self, behind: TextIO) -> None:
        self._behind, self._lock = behind, threading.Lock()
        self._text, self._begin = "", 0

    def write(self, text: str) -> int:
        """Take `text`; return its length."""
        self._behind.write(text)
        with self._lock:
            kept = (self._text + text)[-MAX_PRINTED:]
            self._begin += len(self._text) + len(text) - len(kept)
            self._text = kept
        return len(text)

    def flush(self) -> None:
        """Pass it on."""
        self._behind.flush()

    def since(self, place: int) -> tuple[str, int]:
        """Return what came after `place` characters, as far as it is still there, and the place after it."""
        with self._lock:
            return self._text[max(0, place - self._begin) :], self._begin + len(self._text)


class Host:
    """The actor. Its methods are called by several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._begun = False
        self._reports: list[Mapping[str, Any]] = []
        self._forgotten = 0
        self._answer: Mapping[str, Any] | None = None
        self._asked = time.monotonic()
        self._tape = Tape(sys.stdout)

    def begin(self, request: Mapping[str, Any]) -> None:
        """Run what `request` describes (see `central.jobs.worker`), unless it was begun before."""
        with self._lock:
            if self._begun:
                return
            self._begun = True
        threading.Thread(target=self._run, args=(dict(request),), daemon=True, name="job").start()
        threading.Thread(target=self._watch, daemon=True, name="watch").start()

    def _run(self, request: Mapping[str, Any]) -> None:
        sys.stdout = sys.stderr = self._tape
        os.environ.update(request.get("env") or {})
        ended = answer(request, self.report)
        with self._lock:
            self._answer = ended

    def report(self, step: Mapping[str, Any]) -> None:
        """Note a report; also called by the workers of a training, from elsewhere."""
        with self._lock:
            self._reports.append(dict(step))
            extra = max(0, len(self._reports) - MAX_REPORTS)
            self._forgotten += extra
            del self._reports[:extra]

    def poll(self, seen: int, printed: int) -> tuple[list[Mapping[str, Any]], int, str, int, Mapping[str, Any] | None]:
        """Return the reports after the first `seen`, how many there were in all, the text after `printed` characters,
        its place, and the answer, None while it runs."""
        text, place = self._tape.since(printed)
        with self._lock:
            self._asked = time.monotonic()
            new = self._reports[max(0, seen - self._forgotten) :]
            return new, self._forgotten + len(self._reports), text, place, self._answer

    def leave(self) -> None:
        """End this process in LINGER_S seconds."""
        threading.Timer(LINGER_S, os._exit, (0,)).start()

    def _watch(self) -> None:
        while time.monotonic() - self._asked < ABANDONED_S:
            time.sleep(WATCH_S)
        os._exit(0)
