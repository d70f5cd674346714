"""The package as it is installed: what is in the wheel, and a node made of it where the centre's libraries are not."""

from __future__ import annotations

import importlib.metadata as metadata
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from tests.system.rig import ROOT, command, environment

pytestmark = [pytest.mark.system, pytest.mark.timeout(300)]
ABSENT = ("torch", "fastapi", "sqlalchemy", "onnx", "amqtt", "httpx")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built as by anybody who installs from a checkout."""
    target = tmp_path_factory.mktemp("wheel")
    line = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(target), str(ROOT)]
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    if done.returncode and "hatchling" in done.stderr:
        pytest.skip("the build tool hatchling cannot be had here")
    assert done.returncode == 0, done.stderr
    return next(target.glob("*.whl"))


def test_wheel__has_all_that_runs(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    here = {
        "protocols/messages.py", "edge/cli.py", "export/cli.py", "central/cli.py",
        "central/profiles/street.yaml", "central/profiles/medical.yaml",
    }  # fmt: skip
    here |= {str(p.relative_to(ROOT)) for p in (ROOT / "central" / "zoo").glob("*.wpack")}
    here |= {str(p.relative_to(ROOT)) for p in (ROOT / "central" / "store" / "migrations").rglob("*.py")}
    if (ROOT / "central" / "web" / "dist" / "index.html").exists():
        here.add("central/web/dist/index.html")
    assert here - names == set()


def test_wheel__has_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as opened:
        names = opened.namelist()
    rooms = {name.split("/")[0] for name in names if ".dist-info/" not in name}
    assert rooms == {"protocols", "edge", "export", "central"}
    assert not [name for name in names if "node_modules" in name or name.startswith("central/web/src")]


def needed(extra: str) -> set[str]:
    """Return the distributions that wayside with `extra` needs, in this environment."""
    found: set[str] = set()
    waiting = [("wayside", extra)]
    while waiting:
        name, wanted = waiting.pop()
        for text in metadata.requires(name) or []:
            requirement = Requirement(text)
            if requirement.marker is not None and not requirement.marker.evaluate({"extra": wanted}):
                continue
            if requirement.name not in found:
                found.add(requirement.name)
                waiting += [(requirement.name, e) for e in (*requirement.extras, "")]
    return found


def test_node__installed_without_the_centres_libraries(wheel: Path, tmp_path: Path) -> None:
    venv.create(tmp_path / "venv", symlinks=True)
    python = tmp_path / "venv" / "bin" / "python"
    site = next((tmp_path / "venv" / "lib").glob("python*/site-packages"))
    for name in needed("edge"):
        distribution = metadata.distribution(name)
        for file in distribution.files or []:
            top = site / file.parts[0]
            source = Path(str(distribution.locate_file(file.parts[0])))
            if ".." not in file.parts and not top.exists() and source.exists():
                top.symlink_to(source)
    install = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet", "--no-deps", str(wheel)]
    subprocess.run(install, check=True, capture_output=True)
    missing = f"import importlib.util as u; print([n for n in {ABSENT!r} if u.find_spec(n)])"
    run = {"cwd": tmp_path, "capture_output": True, "text": True, "check": True, "env": {"PATH": "/usr/bin:/bin"}}
    assert subprocess.run([python, "-c", missing], **run).stdout.strip() == "[]"  # type: ignore[call-overload]
    program = "import edge, edge.cli, edge.node, edge.runtime.model; print(edge.__file__)"
    shown = subprocess.run([python, "-c", program], **run).stdout  # type: ignore[call-overload]
    assert str(site) in shown
    helped = subprocess.run([tmp_path / "venv" / "bin" / "wayside-edge", "--help"], **run)  # type: ignore[call-overload]
    assert "doctor" in helped.stdout
    score = [tmp_path / "venv" / "bin" / "wayside-edge", "sharpness", str(picture(tmp_path))]
    assert subprocess.run(score, **run).returncode == 0  # type: ignore[call-overload]


def picture(folder: Path) -> Path:
    """Write a picture."""
    import cv2
    import numpy as np

    path = folder / "a.png"
    cv2.imwrite(str(path), np.random.default_rng(0).integers(0, 255, (60, 80, 3)).astype(np.uint8))
    return path


def test_score__of_an_archive_leaves_nothing_behind(pack: Path, tmp_path: Path) -> None:
    line = command("edge", "score", "street:frames=2,width=160,height=96", "--pack", pack)
    done = subprocess.run(line, cwd=tmp_path, env=environment(), capture_output=True, text=True, check=True)
    assert len(done.stdout.splitlines()) == 2
    assert list(tmp_path.iterdir()) == []
