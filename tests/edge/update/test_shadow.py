"""Old and new pack on the same live frames, in a real process of their own."""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge.runtime import packs
from edge.update import UpdateError, build
from edge.update.shadow import Rules, shadow
from protocols.pack import Pack

RULES = Rules(frames=3, share=1.0, dark=0.3)


class Host:
    """A node with two cameras, or with dark ones."""

    def __init__(self, pack: Pack, dark: bool = False) -> None:
        self.pack, self.dark = pack, dark
        self.skipped: list[set[str]] = []

    def running(self) -> Pack:
        return self.pack

    def live_frame(self, timeout: float, not_of: Collection[str] = ()) -> Any:
        self.skipped.append(set(not_of))
        camera = next((name for name in ("a", "b") if name not in not_of), None)
        if self.dark or camera is None:
            time.sleep(0.01)
            return None
        image = np.random.default_rng(1).integers(0, 255, (90, 160, 3), np.uint8)
        return camera, image[:, ::-1]  # not contiguous, as a crop is


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Pack:
    return packs.find("base", tmp_path_factory.mktemp("packs"))


def run(host: Host, base: Pack, stop: bool = False) -> Any:
    return shadow(host, base, ("cpu", "fp32", 1), RULES, lambda: stop)  # type: ignore[arg-type]


def test_shadow__cameras_in_turn_and_both_packs_timed(base: Pack) -> None:
    host = Host(base)
    seen = run(host, base)
    assert seen.frames == 3
    assert {c.camera: c.frames for c in seen.cameras} == {"a": 2, "b": 1}
    assert seen.boxes_before == seen.boxes_after
    assert seen.agreement in (None, 1.0)
    assert 0 < seen.latency_after_ms < 10 * seen.latency_before_ms


def test_shadow__dark_cameras(base: Pack) -> None:
    assert run(Host(base, dark=True), base).frames == 0


def test_shadow__told_to_stop(base: Pack) -> None:
    with pytest.raises(InterruptedError):
        run(Host(base), base, stop=True)


def test_shadow__a_new_pack_that_does_not_open(base: Pack, tmp_path: Path) -> None:
    broken = Pack(tmp_path, "0" * 64, base.manifest)
    with pytest.raises(UpdateError, match=r"^shadowing: .*not a readable pack"):
        run(Host(base), broken)


def test_build__only_where_tensorrt_runs_packs() -> None:
    assert build.needed("tensorrt")
    assert not any(build.needed(name) for name in ("auto", "cpu", "cuda", "onnxruntime-tensorrt"))


@pytest.mark.skipif(importlib.util.find_spec("tensorrt") is not None, reason="TensorRT is installed")
def test_build__what_is_missing_is_said(base: Pack) -> None:
    with pytest.raises(UpdateError, match=r"^building: "):
        build.build(base, "fp32")
