"""What a round has to learn from, looked at before it learns."""

from __future__ import annotations

import numpy as np
import pytest

from central.learn.material import MaterialError, gather, hold_down
from central.learn.snapshot import Frozen, Labelled

LABELS = ("car", "bus")


def frame(name: str, *labels: str, held_back: bool = False, complete: tuple[str, ...] = LABELS) -> Labelled:
    """Return a frame with so many boxes of a person."""
    count = len(labels)
    return Labelled(
        frame=name, revision=1, held_back=held_back, node="n", camera="c", blob="", width=64, height=64,
        complete_for=complete, by_machine=False, labels=labels, weights=(1.0,) * count,
        boxes=tuple((i * 10.0, 0.0, i * 10.0 + 9.0, 9.0) for i in range(count)),
    )  # fmt: skip


def frozen(*items: Labelled) -> Frozen:
    """Return a snapshot of `items`."""
    return Frozen("0" * 64, items)


def test_gather__new_is_what_the_last_pack_has_not_seen() -> None:
    found = gather(frozen(frame("a", "car"), frame("b", "car"), frame("h", held_back=True)), frozenset({"a"}), LABELS)
    assert [i.frame for i in found.new] == ["b"] and [i.frame for i in found.past] == ["a"]


@pytest.mark.parametrize(
    "items", [(), (frame("a", complete=()),), (frame("h", "car", held_back=True),)], ids=["none", "blank", "held back"]
)
def test_gather__nothing_to_learn_from(items: tuple[Labelled, ...]) -> None:
    with pytest.raises(MaterialError, match="nothing to learn from"):
        gather(frozen(*items), frozenset(), LABELS)


def test_gather__nothing_new_is_refused_unless_asked_for() -> None:
    given = frozen(frame("a", "car"))
    with pytest.raises(MaterialError, match="nothing was labelled since the last pack, which knows all 1 frames"):
        gather(given, frozenset({"a"}), LABELS)
    found = gather(given, frozenset({"a"}), LABELS, again=True)
    assert [i.frame for i in found.new] == ["a"] and not found.past


def test_gather__classes_that_are_gone_are_told() -> None:
    found = gather(frozen(frame("a", *["car"] * 6, *["bus"] * 5, "tram", "tram")), frozenset(), LABELS)
    assert found.notes == ("boxes of classes that the profile does not have were left out: tram 2",)


def test_gather__one_class_and_few_boxes_are_told() -> None:
    notes = gather(frozen(frame("a", "car")), frozenset(), LABELS).notes
    assert any("one class, car" in n for n in notes) and any("too few boxes" in n and "car 1" in n for n in notes)


def test_hold_down__one_node_has_at_most_half() -> None:
    cameras = ["bad/a"] * 90 + ["good/a"] * 6 + ["fine/b"] * 4
    shares, notes = hold_down(cameras, np.ones(100))
    assert shares.sum() == pytest.approx(1.0)
    assert shares[:90].sum() == pytest.approx(0.5)
    assert shares[90] == pytest.approx(0.05)
    assert notes == ["node bad has 90% of the samples and counts for 50%"]


@pytest.mark.parametrize("cameras", [["a/1"] * 4, ["a/1", "a/2", "b/1", "b/2"]], ids=["one node", "even"])
def test_hold_down__leaves_what_is_right(cameras: list[str]) -> None:
    shares, notes = hold_down(cameras, np.ones(4))
    assert np.ptp(shares) == 0 and not notes
