"""The node's code works where only the node's libraries are installed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import edge

ROOT = Path(edge.__file__).parent.parent
ABSENT = (
    "torch", "torchvision", "fastapi", "starlette", "uvicorn", "sqlalchemy", "aiosqlite", "alembic", "obstore", "httpx",
    "onnx", "onnxscript", "safetensors", "scipy", "matplotlib", "amqtt", "argon2", "transformers", "ray", "central",
    "export",
)  # fmt: skip

PROGRAM = """
import importlib, importlib.abc, json, pkgutil, sys

absent = set(json.loads(sys.argv[1]))

class Blocker(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in absent:
            raise ModuleNotFoundError(f"{name} is not installed on a node", name=name)
        return None

sys.meta_path.insert(0, Blocker())
import edge, protocols
names = ["edge", "protocols"]
for package in (edge, protocols):
    for info in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
        importlib.import_module(info.name)
        names.append(info.name)
print(json.dumps({"imported": names, "forbidden": sorted(absent & {m.split(".")[0] for m in sys.modules})}))
"""


def run(program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-W", "error", "-c", program, *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=120, check=False)


def test_import__every_module_without_the_centres_libraries() -> None:
    done = run(PROGRAM, json.dumps(ABSENT))
    assert done.returncode == 0, done.stderr[-2000:]
    report = json.loads(done.stdout.splitlines()[-1])
    assert report["forbidden"] == []
    files = {
        ".".join(p.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        for room in ("edge", "protocols")
        for p in (ROOT / room).rglob("*.py")
    }
    assert set(report["imported"]) == files


def test_import__the_blocker_blocks() -> None:
    done = run(PROGRAM, json.dumps([*ABSENT, "numpy"]))
    assert done.returncode != 0
    assert "numpy is not installed on a node" in done.stderr


def test_import__reads_no_environment_and_starts_nothing() -> None:
    program = """
import threading, os
before = set(threading.enumerate())
import edge.cli, edge.node, edge.agent
assert set(threading.enumerate()) == before
"""
    done = run(program)
    assert done.returncode == 0, done.stderr[-2000:]
