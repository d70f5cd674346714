"""Deltas: the new pack bit for bit, or one kind of error."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import onnx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from protocols import delta
from protocols import pack as packs
from protocols.delta import DeltaError, entropy, grid, low_rank, model, patch, plain, rounding, weights
from protocols.pack import Input, Manifest, Pack

Tensors = dict[str, np.ndarray]
MANIFEST = Manifest(name="toy", labels=["car"], input=Input(height=64, width=64))
RANDOM = np.random.default_rng(5)
OLD: Tensors = {
    "conv.weight": RANDOM.normal(0, 0.1, (16, 8, 3, 3)).astype(np.float32),
    "deep.weight": RANDOM.normal(0, 0.1, (8, 1, 5, 5)).astype(np.float32),
    "norm.weight": RANDOM.normal(1, 0.1, 16).astype(np.float32),
    "count": np.arange(4),
    "int8": RANDOM.integers(-128, 127, (32, 9)).astype(np.int8),
}


def network(tensors: Tensors) -> bytes:
    """A model file that holds `tensors`."""
    made = [numpy_helper.from_array(value, name) for name, value in tensors.items()]
    node = helper.make_node("Identity", ["x"], ["y"])
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in ("x", "y")]
    return bytes(helper.make_model(helper.make_graph([node], "toy", ends[:1], ends[1:], made)).SerializeToString())


def make_pack(folder: Path, tensors: Tensors, **others: bytes) -> Pack:
    contents = {"model.onnx": network(tensors), "parity.npz": bytes(range(256)) * 40, **others}
    return packs.create(folder, MANIFEST, contents)


def updated(scale: float = 0.01, seed: int = 1) -> Tensors:
    random = np.random.default_rng(seed)
    return {n: v + random.normal(0, scale, v.shape).astype(np.float32) if v.dtype == np.float32 else v
            for n, v in OLD.items()}  # fmt: skip


def rounded(scale: float = 0.01, seed: int = 1, step: float = 1.0) -> Tensors:
    return rounding.round_update(OLD, updated(scale, seed), step)


@pytest.fixture(scope="module")
def old(tmp_path_factory: pytest.TempPathFactory) -> Pack:
    return make_pack(tmp_path_factory.mktemp("old"), OLD)


def round_trip(old: Pack, new: Pack) -> bytes:
    data = delta.make(old, new)
    assert delta.apply(old, data, new.address) == packs.archive(new)
    return data


CHANGES: dict[str, Callable[[Tensors], Tensors]] = {
    "nothing": lambda t: t,
    "rounded": lambda t: rounded(),
    "not rounded": lambda t: updated(),
    "one value": lambda t: t | {"norm.weight": t["norm.weight"] + np.eye(16, dtype=np.float32)[3]},
    "another shape": lambda t: t | {"norm.weight": np.ones((3, 7), np.float32)},
    "another type": lambda t: t | {"conv.weight": t["conv.weight"].astype(np.float16)},
    "a new weight": lambda t: t | {"fresh": np.ones((5, 5), np.float32)},
    "a weight gone": lambda t: {n: v for n, v in t.items() if n != "conv.weight"},
    "not a number": lambda t: t | {"norm.weight": np.full(16, np.nan, np.float32)},
    "infinite": lambda t: t | {"norm.weight": np.full(16, np.inf, np.float32)},
    "zeros of another sign": lambda t: t | {"norm.weight": t["norm.weight"] * np.float32(-0.0)},
    "integers": lambda t: t | {"count": t["count"] + 1, "int8": t["int8"] ^ 3},
    "no rows": lambda t: t | {"scalar": np.array(2.5, np.float32)},
    "tiny steps": lambda t: t | {"conv.weight": t["conv.weight"] * np.float32(1 + 2**-22)},
    "huge values": lambda t: t | {"conv.weight": t["conv.weight"] * np.float32(1e30)},
}  # fmt: skip


@pytest.mark.parametrize("name", CHANGES)
def test_apply__the_very_archive(old: Pack, tmp_path: Path, name: str) -> None:
    new = make_pack(tmp_path / "new", CHANGES[name](dict(OLD)))
    round_trip(old, new)


def test_apply__files_come_and_go(old: Pack, tmp_path: Path) -> None:
    new = packs.create(tmp_path / "new", MANIFEST, {"model.onnx": b"not a model", "card.md": b"new", "twin.npz": b""})
    round_trip(old, new)


def test_apply__a_renamed_file_is_not_sent(old: Pack, tmp_path: Path) -> None:
    noise = RANDOM.bytes(5000)
    first = make_pack(tmp_path / "first", OLD, **{"a.bin": noise})
    second = make_pack(tmp_path / "second", OLD, **{"b.bin": noise})
    assert len(round_trip(first, second)) < 1000


def test_apply__twice_from_one_old_pack_gives_equal_bytes(old: Pack, tmp_path: Path) -> None:
    data = delta.make(old, make_pack(tmp_path / "new", rounded()))
    assert delta.make(old, packs.open_folder(tmp_path / "new")) == data
    assert delta.apply(old, data) == delta.apply(old, data)


def test_make__rounding_is_what_makes_it_small(old: Pack, tmp_path: Path) -> None:
    fine, coarse = (len(delta.make(old, make_pack(tmp_path / name, tensors)))
                    for name, tensors in (("fine", updated()), ("coarse", rounded())))  # fmt: skip
    assert coarse < 0.5 * fine


def test_make__unchanged_weights_cost_nothing(old: Pack, tmp_path: Path) -> None:
    changed = OLD | {"norm.weight": rounded()["norm.weight"]}
    assert len(delta.make(old, make_pack(tmp_path / "new", changed))) < 1100


def test_choose__the_pack_itself_where_it_is_smaller(
    old: Pack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    new = make_pack(tmp_path / "new", rounded())
    found = delta.choose(old, new)
    assert found is not None and delta.parties(found) == (old.address, new.address)
    monkeypatch.setattr(delta, "make", lambda old, new: packs.archive(new))
    assert delta.choose(old, new) is None


# --- what may be wrong with it


@pytest.fixture(scope="module")
def data(old: Pack, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return delta.make(old, make_pack(tmp_path_factory.mktemp("new"), rounded()))


def test_apply__other_old_pack(data: bytes, tmp_path: Path) -> None:
    with pytest.raises(DeltaError, match="it is for pack"):
        delta.apply(make_pack(tmp_path / "other", updated()), data)


def test_apply__other_new_pack(old: Pack, data: bytes) -> None:
    with pytest.raises(DeltaError, match="wanted is 000000"):
        delta.apply(old, data, "0" * 64)


def test_apply__old_pack_damaged_on_disk(data: bytes, tmp_path: Path) -> None:
    old = make_pack(tmp_path, OLD)
    (old.folder / "parity.npz").unlink()
    with pytest.raises(DeltaError, match=r"parity.npz is not readable"):
        delta.apply(old, data)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(draw=st.data())
def test_apply__flipped_or_cut(old: Pack, data: bytes, draw: st.DataObject) -> None:
    damaged = bytearray(data)
    if draw.draw(st.booleans()):
        del damaged[draw.draw(st.integers(0, len(data) - 1)) :]
    else:
        damaged[draw.draw(st.integers(0, len(data) - 1))] ^= 1 << draw.draw(st.integers(0, 7))
    try:
        result = delta.apply(old, bytes(damaged))
    except DeltaError:
        return
    assert result == delta.apply(old, data)  # a spare bit of a frame's header says nothing


@pytest.mark.parametrize("junk", [b"", b"x", delta.MAGIC, delta.MAGIC + b"\x94", delta.MAGIC + b"\xdf\xff\xff\xff\xff",
                                  delta.MAGIC + b"\x91" * 5000])  # fmt: skip
def test_apply__junk(old: Pack, junk: bytes) -> None:
    with pytest.raises(DeltaError):
        delta.apply(old, junk)


def _broken(data: bytes, change: Callable[[model.ModelDelta], model.ModelDelta]) -> bytes:
    parts = delta._decode(data)
    files = [msgspec.structs.replace(f, how=change(f.how)) if isinstance(f.how, model.ModelDelta) else f
             for f in parts.files]  # fmt: skip
    return delta.MAGIC + msgspec.msgpack.encode(msgspec.structs.replace(parts, files=files))


def _places(*places: model.Place) -> bytes:
    return patch.make(b"", msgspec.msgpack.encode(list(places)))


replace = msgspec.structs.replace
LIES: dict[str, tuple[str, Callable[[model.ModelDelta], model.ModelDelta]]] = {
    "endless weights": ("more than the", lambda d: replace(
        d, layout=_places(model.Place("x", "<f4", [1 << 30] * 8, 0)))),
    "a bomb": ("unpacks to", lambda d: replace(d, skeleton=patch.make(b"", bytes(1 << 24)))),
    "a bomb of contexts": ("unpacks to", lambda d: replace(d, contexts=patch.make(b"", bytes(1 << 24)))),
    "an unknown type": ("unknown type", lambda d: replace(d, layout=_places(model.Place("x", "O", [1], 0)))),
    "a weight that is not there": ("old pack", lambda d: replace(
        d, layout=_places(model.Place("x", "<f4", [1], 0)), kinds=patch.make(b"", b"\x01"), payloads=[])),
    "a kind that is not there": ("in this form", lambda d: replace(d, kinds=patch.make(b"", b"\x09" * 5))),
    "integers on the grid": ("not of float32", lambda d: replace(d, kinds=patch.make(b"", b"\x00\x00\x00\x01\x00"))),
    "no payload": ("not equally many", lambda d: replace(d, kinds=patch.make(b"", b"\x04" * 5))),
    "low rank without rows": ("not equally many", lambda d: replace(d, kinds=patch.make(b"", b"\x02" * 5))),
    "no words": ("end too early", lambda d: replace(d, values=replace(d.values, words=b""))),
    "words left over": ("end where", lambda d: replace(d, values=replace(d.values, words=d.values.words + b"ab"))),
    "half a word": ("not whole", lambda d: replace(d, values=replace(d.values, words=b"abc"))),
    "no frequencies": ("without frequencies", lambda d: replace(
        d, values=replace(d.values, frequencies=b"", contexts=b""))),
    "frequencies of nothing": ("frequencies", lambda d: replace(
        d, values=replace(d.values, frequencies=bytes(len(d.values.frequencies))))),
    "no steps": ("lacks its steps", lambda d: replace(d, levels=patch.make(b"", b""))),
}  # fmt: skip


@pytest.mark.parametrize("name", LIES)
def test_apply__lies(old: Pack, data: bytes, name: str) -> None:
    said, change = LIES[name]
    with pytest.raises(DeltaError, match=said):
        delta.apply(old, _broken(data, change))


def test_apply__a_wrong_value_is_not_a_pack(old: Pack, data: bytes) -> None:
    """The last line of defence: everything is well-formed, and the result is not what was announced."""
    other = patch.make(b"", bytes(len(patch.apply(b"", delta._decode(data).files[0].how.levels))))  # type: ignore[union-attr]
    with pytest.raises(DeltaError, match="the result is not what the manifest says"):
        delta.apply(old, _broken(data, lambda d: replace(d, levels=other)))


def test_import__without_torch_and_onnx() -> None:
    code = "import sys, protocols.delta, protocols.delta.rounding; print({'torch', 'onnx', 'edge'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


# --- the parts


@settings(max_examples=25, deadline=None)
@given(scale=st.floats(0, 40_000), rows=st.integers(1, 20), columns=st.integers(1, 30), seed=st.integers(0, 99))
def test_entropy__round_trip(scale: float, rows: int, columns: int, seed: int) -> None:
    values = np.rint(np.random.default_rng(seed).laplace(0, scale, (rows, columns))).astype(np.int64)
    contexts = np.repeat(entropy.context_of(np.abs(values).mean(1)), columns)
    np.testing.assert_array_equal(entropy.decode(entropy.encode(values.ravel(), contexts), contexts), values.ravel())


def test_entropy__near_what_is_possible() -> None:
    values = np.rint(np.random.default_rng(0).laplace(0, 1, (400, 500))).astype(np.int64)
    contexts = np.repeat(entropy.context_of(np.abs(values).mean(1)), 500)
    coded = entropy.encode(values.ravel(), contexts)
    shares = np.unique(values, return_counts=True)[1] / values.size
    possible = -(shares * np.log2(shares)).sum() * values.size / 8
    assert sum(len(v) for v in (coded.words, coded.states, coded.frequencies, coded.escapes)) < 1.02 * possible


def test_entropy__what_is_stored_does_not_change() -> None:
    """The format: a released delta must be read by every later version."""
    coded = entropy.encode(np.array([0, 1, -1, 0, 0, 900, -32767, 2]), np.array([9, 9, 9, 9, 9, 30, 46, 17], np.uint8))
    assert coded.words.hex() + coded.states.hex() + coded.spare.hex() == FROZEN


FROZEN = "70b4730040008000000000000000000000"


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 999), step=st.floats(1e-6, 10), spread=st.floats(0.2, 300))
def test_grid__two_packs_suffice(seed: int, step: float, spread: float) -> None:
    random = np.random.default_rng(seed)
    old = random.normal(0, 1, (6, 30)).astype(np.float32)
    levels = np.repeat(grid.level_of(np.array([step])), 6)
    multiples = np.clip(np.rint(random.normal(0, spread, old.shape)), -grid.LIMIT, grid.LIMIT).astype(np.int64)
    new = grid.add(old, grid.Multiples(multiples, levels))
    found = grid.recover(old, new)
    assert found is not None
    np.testing.assert_array_equal(grid.add(old, found).view(np.uint32), new.view(np.uint32))
    assert np.abs(found.multiples).sum() <= np.abs(multiples).sum()


def test_grid__steps_times_multiples_are_exact() -> None:
    """So that a fused multiply-add gives the same bits as two operations."""
    for multiple in (1, 3, 12_345, grid.LIMIT):
        exact = grid.STEPS.astype(np.float64) * multiple
        np.testing.assert_array_equal((grid.STEPS * np.float32(multiple)).astype(np.float64), exact)


def test_grid__not_on_it() -> None:
    old = RANDOM.normal(0, 1, (4, 50)).astype(np.float32)
    assert grid.recover(old, old + RANDOM.normal(0, 0.1, old.shape).astype(np.float32)) is None


def test_low_rank__found_and_undone() -> None:
    factors = RANDOM.integers(-9, 10, (40, 3)), RANDOM.integers(-9, 10, (3, 50))
    matrix = factors[0] @ factors[1]
    found = low_rank.find(matrix)
    assert found is not None and len(found.cross.rows) == 3
    np.testing.assert_array_equal(low_rank.matrix(found), matrix)
    assert low_rank.find(RANDOM.integers(-9, 10, (40, 50))) is None


def test_low_rank__smaller_than_steps(old: Pack, tmp_path: Path) -> None:
    base = RANDOM.normal(0, 0.1, (96, 96)).astype(np.float32)
    product = RANDOM.integers(-9, 10, (96, 2)) @ RANDOM.integers(-9, 10, (2, 96))
    new = grid.add(base, grid.Multiples(product, np.full(96, 180, np.uint8)))
    data = round_trip(make_pack(tmp_path / "a", {"w": base}), make_pack(tmp_path / "b", {"w": new}))
    shuffled = grid.add(
        base, grid.Multiples(RANDOM.permutation(product.ravel()).reshape(96, 96), np.full(96, 180, "u1"))
    )
    assert len(data) < 0.35 * len(
        round_trip(make_pack(tmp_path / "c", {"w": base}), make_pack(tmp_path / "d", {"w": shuffled}))
    )


@pytest.mark.parametrize("kind", ["<f4", "<f2", "i1", "<i8", "u1"])
@pytest.mark.parametrize("share", [0.0, 0.05, 1.0])
def test_plain__round_trip(kind: str, share: float) -> None:
    old, new = (RANDOM.integers(0, 255, (30, 40)).astype("u1").astype(kind) for _ in range(2))
    new = np.where(RANDOM.random(old.shape) < share, new, old)
    np.testing.assert_array_equal(plain.from_raw(plain.raw(new), kind, new.shape), new)
    np.testing.assert_array_equal(plain.from_planes(plain.planes(old, new), old), new)
    scattered = plain.sparse(old, new)
    assert (scattered is None) == (share == 1.0)
    if scattered is not None:
        np.testing.assert_array_equal(plain.from_sparse(scattered, old), new)


def test_weights__as_onnx_reads_them() -> None:
    data = network(OLD)
    found = {weight.name: weight.read(data) for weight in weights.find(data)}
    wanted = {t.name: numpy_helper.to_array(t) for t in onnx.load_model_from_string(data).graph.initializer}
    assert found.keys() == wanted.keys()
    for name, value in wanted.items():
        np.testing.assert_array_equal(found[name], value)


@settings(max_examples=100, deadline=None)
@given(draw=st.data())
def test_weights__damaged(draw: st.DataObject) -> None:
    data = bytearray(network(OLD))
    at = draw.draw(st.integers(0, len(data) - 1))
    data[at] = draw.draw(st.integers(0, 255))
    for weight in weights.find(bytes(data[: draw.draw(st.integers(0, len(data)))])):
        assert weight.start + weight.size <= len(data)


# --- rounding


def test_round_update__near_and_repeatable() -> None:
    new = updated()
    first, second = (rounding.round_update(OLD, new, 0.5) for _ in range(2))
    for name, value in first.items():
        assert value.tobytes() == second[name].tobytes() and value.dtype == new[name].dtype
        assert np.abs(value - new[name]).max() <= 0.5 * 0.5 * 0.011
    assert first["count"] is new["count"]


def test_round_update__finer_is_nearer() -> None:
    new = updated()["conv.weight"]
    errors = [np.abs(rounded(step=step)["conv.weight"] - new).mean() for step in (0.1, 0.5, 2.0)]
    assert errors == sorted(errors)


def test_round_update__what_is_new_stays() -> None:
    new = updated() | {"fresh": np.ones(3, np.float32), "norm.weight": np.ones(5, np.float32)}
    done = rounding.round_update(OLD, new)
    assert done["fresh"] is new["fresh"] and done["norm.weight"] is new["norm.weight"]


def test_round_update__inputs_known_outputs_nearer() -> None:
    """Inputs of a layer that are alike let one weight make good what another lost."""
    random = np.random.default_rng(3)
    seen = random.normal(0, 1, (2000, 4)) @ random.normal(0, 1, (4, 72)) + 0.1 * random.normal(0, 1, (2000, 72))
    sense = rounding.Sense({"conv.weight": (seen.T @ seen / 2000)[None]})
    new = updated()

    def lost(done: Tensors) -> float:
        return float(np.abs(seen @ (done["conv.weight"] - new["conv.weight"]).reshape(16, 72).T).mean())

    assert lost(rounding.round_update(OLD, new, 1.0, sense)) < 0.6 * lost(rounding.round_update(OLD, new, 1.0))


def test_round_update__finer_where_outputs_depend_on_it() -> None:
    new = updated()
    done = rounding.round_update(OLD, new, 1.0, rounding.Sense({}, {"conv.weight": 1.0, "deep.weight": 0.01}))
    errors = {name: float(np.abs(done[name] - new[name]).mean()) for name in ("conv.weight", "deep.weight")}
    assert errors["deep.weight"] > 2 * errors["conv.weight"]


@pytest.mark.parametrize("step", [0.0, -1.0, float("nan")])
def test_round_update__no_step(step: float) -> None:
    with pytest.raises(ValueError, match="above 0"):
        rounding.round_update(OLD, updated(), step)


def test_apply__manifests_of_another_version_keep_their_bytes(old: Pack, tmp_path: Path) -> None:
    """An address is of the bytes of a manifest; a later version may write the same one in another way."""
    new = make_pack(tmp_path / "new", rounded())
    spaced = (new.folder / packs.MANIFEST).read_bytes().replace(b": ", b":  ")
    (new.folder / packs.MANIFEST).write_bytes(spaced)
    round_trip(old, packs.open_folder(new.folder))
    round_trip(packs.open_folder(new.folder), old)
