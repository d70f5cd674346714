"""Other tools, reached through their own SDKs: one small program per tool, which runs where that SDK is installed.

Those SDKs want versions of their own of what we use, too, so that they cannot be installed beside us. A program gets
one JSON object on its standard input, with the secret among it, works on files in a folder that we made, and answers
with one JSON object on its last line. Nothing of ours is imported there.
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any, Final

TIMEOUT_S: Final = 3600.0
"""Seconds for one push or pull; ten thousand images go up in less."""


class BridgeError(RuntimeError):
    """A tool that could not be reached, or that refused. The text says which, and why."""


def run(tool: str, program: str, python: Path, wish: dict[str, Any]) -> dict[str, Any]:
    """Return what `program`, which speaks with `tool`, answers to `wish`, run by `python`. Raises BridgeError."""
    if not python.exists():
        raise BridgeError(f"{python}: not there; give the Python of an environment with the SDK of {tool}")
    words = [str(python), "-I", str(Path(__file__).parent / f"{program}.py")]
    try:
        done = subprocess.run(
            words, input=json.dumps(wish), capture_output=True, text=True, timeout=TIMEOUT_S, check=False
        )
        lines = done.stdout.strip().splitlines()
        answer: dict[str, Any] = json.loads(lines[-1]) if lines else {}
    except subprocess.TimeoutExpired:
        raise BridgeError(f"{tool}: no end after {TIMEOUT_S:.0f} s") from None
    except (OSError, ValueError) as error:
        raise BridgeError(f"{tool}: {error}") from None
    if done.returncode or "error" in answer:
        last = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        reason = str(answer.get("error") or last).replace(str(wish.get("token")), "***")
        raise BridgeError(f"{tool}: {' '.join(reason.split())[:500]}")
    return answer
