"""Proof on a device, and what disproves it."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable

import numpy as np
import pytest

from edge.runtime import RuntimeFault, parity
from edge.runtime.model import Model
from protocols.pack import Pack

Make = Callable[..., Pack]
Outputs = dict[str, np.ndarray]
FRAME = np.full((1, 3, 64, 96), 50, np.uint8)


def stored(outputs: Outputs, **extra: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    arrays = {f"{name}_0": value for name, value in outputs.items()} | {"input_0": FRAME} | extra
    np.savez_compressed(buffer, **arrays)  # type: ignore[arg-type]
    return buffer.getvalue()


def outcome(make_pack: Make, data: bytes, **changes: object) -> parity.ParityReport:
    with Model(make_pack(extra={"parity.npz": data}, **changes)) as model:
        return parity.check(model)


def test_check__same(make_pack: Make, outputs: Outputs) -> None:
    report = outcome(make_pack, stored(outputs))
    assert report.ok, report
    assert report.frames == 1
    assert set(report.worst) == {"boxes", "scores", "spread", "blur", "embedding", "tags"}


@pytest.mark.parametrize(
    ("name", "change", "ok"),
    [
        ("boxes", 0.09, True),
        ("boxes", 0.2, False),
        ("scores", 0.0009, True),
        ("scores", 0.002, False),
        ("spread", 0.2, False),
        ("blur", 0.02, False),
        ("embedding", 0.002, False),
        ("tags", 0.002, False),
    ],
)
def test_check__tolerance(name: str, change: float, ok: bool, make_pack: Make, outputs: Outputs) -> None:
    outputs[name] = outputs[name] + np.float32(change)
    report = outcome(make_pack, stored(outputs))
    assert report.ok == ok, report
    assert report.worst[name] == pytest.approx(change, rel=1e-2)
    assert ok or name in report.detail


def test_check__order_of_rows_does_not_matter(make_pack: Make, outputs: Outputs) -> None:
    for name in ("boxes", "scores", "spread"):
        outputs[name] = outputs[name][[2, 0, 3, 1]]
    assert outcome(make_pack, stored(outputs)).ok


def test_check__a_row_of_another_place(make_pack: Make, outputs: Outputs) -> None:
    outputs["boxes"][2] += 30
    report = outcome(make_pack, stored(outputs))
    assert not report.ok
    assert report.worst["boxes"] == pytest.approx(30)


def test_check__last_of_the_top_k_may_differ(make_pack: Make, outputs: Outputs) -> None:
    for name in ("boxes", "scores", "spread"):
        outputs[name] = outputs[name][:3].copy()
    made = {**outputs, "boxes": outputs["boxes"].copy(), "scores": outputs["scores"].copy()}
    outputs["boxes"][2] = 1.0
    outputs["scores"][2] = [0.7003, 0.1]
    made["scores"][1] = outputs["scores"][1] = [0.8, 0.1]
    with Model(make_pack(made, extra={"parity.npz": stored(outputs)})) as model:
        assert parity.check(model).ok


def test_check__noise_is_not_compared(make_pack: Make, outputs: Outputs) -> None:
    outputs["scores"][3] = [0.001, 0.002]
    outputs["boxes"][3] = 77
    assert outcome(make_pack, stored(outputs)).worst["boxes"] <= 0.1


@pytest.mark.parametrize("missing", ["blur", "scores"])
def test_check__output_that_the_graph_lacks(missing: str, make_pack: Make, outputs: Outputs) -> None:
    data = stored(outputs)
    del outputs[missing]
    with Model(make_pack(outputs, extra={"parity.npz": data})) as model:
        report = parity.check(model)
    assert not report.ok
    assert report.worst[missing] == np.inf


def test_check__not_a_number(make_pack: Make, outputs: Outputs) -> None:
    data = stored(outputs)
    outputs["embedding"][:] = np.nan
    with Model(make_pack(outputs, extra={"parity.npz": data})) as model:
        assert not parity.check(model).ok


def test_check__stated_tolerance(make_pack: Make, outputs: Outputs) -> None:
    outputs["boxes"] += np.float32(0.5)
    stated = np.frombuffer(json.dumps({"boxes": 1.0}).encode(), np.uint8)
    assert outcome(make_pack, stored(outputs, tolerance=stated)).ok


def test_check__variant_with_outputs_of_its_own(make_pack: Make, outputs: Outputs) -> None:
    other = {f"{name}@int8": value for name, value in outputs.items()}
    wrong = {name: value + 1 for name, value in outputs.items()}
    data = stored(other | wrong)
    pack = make_pack(extra={"parity.npz": data}, variants={"fp32": "model.onnx", "int8": "model.onnx"})
    with Model(pack, precision="int8") as quantised, Model(pack) as plain:
        assert parity.check(quantised).ok
        assert not parity.check(plain).ok


def test_check__foreign_packs_compare_detections(make_pack: Make, outputs: Outputs) -> None:
    made = make_pack(family="other")
    with Model(made) as model:
        expected = parity.outputs(model, FRAME)
    assert set(expected) == {"boxes", "scores"}
    assert len(expected["scores"]) == 4
    assert outcome(make_pack, stored(expected), family="other").ok


def pickled() -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, input_0=np.array([{"a": 1}], object))
    return buffer.getvalue()


def stranger() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as target:
        target.writestr("run.py", "print()")
    return buffer.getvalue()


def arrays(**values: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, **values)  # type: ignore[arg-type]
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "not a whole set"),
        (b"PK\x03\x04nonsense", "not a whole set"),
        (pickled(), "not a whole set"),
        (stranger(), r"'run\.py' is not an array"),
        (arrays(other=np.zeros(3)), "holds no frame"),
        (arrays(input_0=np.zeros((1, 3, 4, 4), np.float32)), "not uint8"),
        (arrays(input_0=FRAME, tolerance=np.zeros(4, np.uint8)), "tolerances"),
        (arrays(input_0=FRAME, tolerance=np.frombuffer(b"[1]", np.uint8)), "tolerances"),
    ],
)
def test_check__damaged(data: bytes, message: str, make_pack: Make) -> None:
    with pytest.raises(RuntimeFault, match=message):
        outcome(make_pack, data)


def test_check__too_large_is_not_unpacked(make_pack: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parity, "MAX_BYTES", 1000)
    with pytest.raises(RuntimeFault, match="more than"):
        outcome(make_pack, arrays(input_0=FRAME))


def test_check__pack_without(make_pack: Make) -> None:
    with Model(make_pack()) as model, pytest.raises(RuntimeFault, match=r"has no parity\.npz"):
        parity.check(model)
