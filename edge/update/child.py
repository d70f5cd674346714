"""Another process of this node, in which a pack may crash or hang: that costs the update, and nothing else.

The child is a module of ours: ``python -m MODULE ARGUMENTS``. It prints JSON objects, one per line, ``{"ok": false,
"reason": ...}`` where something is wrong; what it is asked comes on its standard input.
"""

from __future__ import annotations

import ctypes
import json
import signal
import subprocess
import sys
import threading
from types import TracebackType
from typing import Any, Final, Self

from edge.update import UpdateError

NICE: Final = 10
"""Children give way to the cameras."""
_PR_SET_PDEATHSIG: Final = 1
MAX_LINE: Final = 4 * 1024 * 1024
"""Bytes of one answer: the boxes of one frame."""


def die_with_parent() -> None:
    """End this process with the thread that began it, so that no hanging pack outlives its node. Linux only."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


class Child:
    """A running child; leaving its context kills it. `step` begins each reason."""

    def __init__(self, step: str, module: str, *arguments: str) -> None:
        """Raises UpdateError where no process can be started."""
        self._step = step
        line = ["nice", "-n", str(NICE), sys.executable, "-m", module, *arguments]
        try:
            self._process = subprocess.Popen(
                line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
            )
        except OSError as error:
            raise UpdateError(f"{step}: cannot start another process ({error.strerror})") from None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._process.kill()
        self._process.communicate()

    def ask(self, *parts: bytes | memoryview, timeout: float, what: str) -> dict[str, Any]:
        """Write `parts` and return the next line. Raises UpdateError where the child says so, ends, or is silent for
        `timeout` seconds; `what` it should have done is said then."""
        late = threading.Event()

        def end() -> None:
            late.set()
            self._process.kill()

        timer = threading.Timer(timeout, end)
        timer.daemon = True
        timer.start()
        try:
            line = self._exchange(parts)
        finally:
            timer.cancel()
        if late.is_set():
            raise UpdateError(f"{self._step}: the pack did not {what} within {timeout:.0f} s")
        try:
            answer = json.loads(line)
            ok = bool(answer["ok"])
        except (ValueError, KeyError, TypeError):
            status = self._process.poll() if line else self._process.wait()
            raise UpdateError(f"{self._step}: the pack ended its process (status {status})") from None
        if not ok:
            raise UpdateError(f"{self._step}: {answer.get('reason', 'no reason given')}")
        return dict(answer)

    def _exchange(self, parts: tuple[bytes | memoryview, ...]) -> bytes:
        sink, source = self._process.stdin, self._process.stdout
        if sink is None or source is None:
            return b""
        try:
            for part in parts:
                sink.write(part)
            sink.flush()
        except OSError:  # it ended; its status says how
            return b""
        while line := source.readline(MAX_LINE):
            if line.startswith(b"{"):  # anything else is what some library had to say
                return line
        return b""


def tell(ok: bool, **fields: Any) -> None:
    """Print one answer. For the child."""
    print(json.dumps({"ok": ok, **fields}), flush=True)
