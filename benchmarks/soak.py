"""Every long run, one after the other: memory and files must stay flat, rates must hold.

    python -m benchmarks.soak [--minutes 30] [--only node]

Each part is a module `benchmarks.soak_NAME` with a command line of its own; all of them take ``--minutes``. The last
line is one JSON object by part, with ``ok``; exit status 1 where one is not.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

PREFIX = "soak_"


def say(text: str) -> None:
    """Tell the person, on standard error; `benchmarks.common` would bring torch along."""
    print(text, file=sys.stderr, flush=True)


def parts() -> list[str]:
    """Return the names of the parts."""
    return sorted(path.stem.removeprefix(PREFIX) for path in Path(__file__).parent.glob(f"{PREFIX}*.py"))


def run(part: str, minutes: float) -> dict[str, Any]:
    """Run one part in a process of its own and return its answer."""
    line = [sys.executable, "-m", f"benchmarks.{PREFIX}{part}", "--minutes", str(minutes)]
    done = subprocess.run(line, stdout=subprocess.PIPE, text=True, check=False)
    try:
        answer: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    except (ValueError, IndexError):
        return {"ok": False, "reason": f"no answer, exit status {done.returncode}"}
    return answer


def main() -> int:
    """Parse, run, print one JSON line."""
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--minutes", type=float, default=30.0, help="of each part")
    made.add_argument("--only", choices=parts(), help="this part alone")
    made.add_argument("--json", action="store_true", help="accepted as everywhere; the last line is always JSON")
    arguments = made.parse_args()
    answers = {}
    for part in [arguments.only] if arguments.only else parts():
        say(f"soak: {part}")
        answers[part] = run(part, arguments.minutes)
    good = all(answer.get("ok") for answer in answers.values())
    print(json.dumps({"ok": good, **answers}))
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
