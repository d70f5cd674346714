"""ONNX Runtime by name, and what it says when it cannot."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnxruntime as ort
import pytest

from edge.runtime import RuntimeFault, session
from protocols.pack import Pack

Make = Callable[..., Pack]


@pytest.fixture
def opened(make_pack: Make) -> session.Session:
    pack: Pack = make_pack()
    return session.Session(pack.variant("fp32"))


def image(value: int = 8) -> np.ndarray:
    return np.full((1, 3, 64, 96), value, np.uint8)


def test_run__outputs_by_name(opened: session.Session) -> None:
    outputs = opened.run(image())
    assert {"boxes", "scores", "spread", "blur", "embedding", "tags"} < set(outputs)
    assert outputs["mean"] == 8.0


def test_session__auto_finds_a_backend(opened: session.Session) -> None:
    assert opened.name in session.available()


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (np.zeros((1, 3, 8, 8), np.uint8), "the model failed"),
        (np.zeros((1, 3, 64, 96), np.float32), "the model failed"),
    ],
)
def test_run__wrong_input(bad: np.ndarray, message: str, opened: session.Session) -> None:
    with pytest.raises(RuntimeFault, match=message):
        opened.run(bad)


def test_run__after_close(opened: session.Session) -> None:
    opened.close()
    opened.close()
    with pytest.raises(RuntimeFault, match="closed"):
        opened.run(image())


def test_session__unknown_backend(make_pack: Make) -> None:
    pack: Pack = make_pack()
    with pytest.raises(RuntimeFault, match="'abacus' is unknown"):
        session.Session(pack.variant("fp32"), "abacus")


def test_session__provider_that_is_not_installed(make_pack: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    pack: Pack = make_pack()
    monkeypatch.setattr(session, "available", lambda: [session.CPU])
    with pytest.raises(RuntimeFault, match="only onnxruntime-cpu"):
        session.Session(pack.variant("fp32"), "onnxruntime-cuda")


def test_session__silent_fallback_is_an_error(make_pack: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """ONNX Runtime that claims CUDA but runs on the CPU, as it does where the driver does not fit."""
    pack: Pack = make_pack()
    monkeypatch.setattr(session, "available", lambda: ["onnxruntime-cuda", session.CPU])
    monkeypatch.setattr(
        session.Session,
        "_open",
        staticmethod(lambda data, path, provider, threads: ort.InferenceSession(
            data, session.options(threads), providers=["CPUExecutionProvider"])),
    )  # fmt: skip
    with pytest.raises(RuntimeFault, match="fell back to CPUExecutionProvider"):
        session.Session(pack.variant("fp32"), "onnxruntime-cuda")
    assert session.Session(pack.variant("fp32"), "auto").name == session.CPU


def test_session__refuses_what_onnxruntime_refuses(make_pack: Make) -> None:
    pack: Pack = make_pack()
    path = pack.variant("fp32")
    path.write_bytes(path.read_bytes().replace(b"ReduceMean", b"ReduceXean"))
    with pytest.raises(RuntimeFault, match="ONNX Runtime refuses it"):
        session.Session(path)
