"""The check runs apart from the node: a pack that crashes or hangs costs only the update."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from edge.update import UpdateError
from edge.update.check import check, run_here
from protocols import pack as packs
from protocols.pack import Input, Manifest, Pack


@pytest.fixture
def pack(tmp_path: Path) -> Pack:
    manifest = Manifest(name="toy", labels=["car"], input=Input(height=64, width=64))
    return packs.create(tmp_path / "pack", manifest, {"model.onnx": b"not a graph", "parity.npz": b"not arrays"})


def pretend(folder: Path, monkeypatch: pytest.MonkeyPatch, program: str) -> None:
    """Put a shell script in the place of the interpreter."""
    script = folder / "python"
    script.write_text(f"#!/bin/sh\n{program}\n")
    script.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(script))


def test_check__a_real_child_names_what_is_wrong(pack: Pack) -> None:
    with pytest.raises(UpdateError, match=r"^checking: .*model\.onnx"):
        check(pack, "auto", "fp32", 1)


def test_run_here__a_pack_without_parity_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    manifest = Manifest(name="toy", labels=["car"], input=Input(height=64, width=64))
    bare = packs.create(tmp_path / "bare", manifest, {"model.onnx": b"graph"})
    monkeypatch.setattr("edge.runtime.model.Model", lambda *_, **__: None)
    assert run_here(bare.folder, "auto", "fp32", 1) == (False, "the pack has no parity.npz; build it with one")


@pytest.mark.parametrize(
    ("program", "said"),
    [
        ("kill -SEGV $$", "the pack ended its process"),
        ("exit 3", "the pack ended its process"),
        ("echo nonsense", "the pack ended its process"),
        ("exec sleep 30", "did not open and run within"),
        ("""echo '{"ok": false, "reason": "scores is off"}'""", "checking: scores is off"),
    ],
)
def test_check__whatever_the_child_does(
    pack: Pack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, program: str, said: str
) -> None:
    pretend(tmp_path, monkeypatch, program)
    with pytest.raises(UpdateError, match=said):
        check(pack, "auto", "fp32", 1, timeout=0.5)


def test_check__passes_on_the_detail(pack: Pack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(tmp_path, monkeypatch, """echo warning; echo '{"ok": true, "detail": "3 frames agree"}'""")
    assert check(pack, "auto", "fp32", 1) == "3 frames agree"
