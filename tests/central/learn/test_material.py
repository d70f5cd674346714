"""What a round has to learn from, looked at before it learns."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from central.learn.material import MaterialError, contradicting, gather, hold_down
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


def test_hold_down__frames_full_of_boxes() -> None:
    cameras = ["flood/a"] * 5 + ["fine/b"] * 5
    boxes = [8.0] * 5 + [2.0] * 5
    shares, notes = hold_down(cameras, np.ones(10), boxes=boxes)
    weighed = shares * np.array(boxes)
    assert shares.sum() == pytest.approx(1.0)
    assert weighed[:5].sum() / weighed.sum() == pytest.approx(0.7)
    assert notes == ["node flood has 80% of the boxes and counts for 70%"]


def test_hold_down__a_busy_crossing_does_not_vanish_beside_empty_scenes() -> None:
    shares, notes = hold_down(["busy/a"] * 4 + ["empty/b"] * 4, np.ones(8), boxes=[90.0] * 4 + [1.0] * 4)
    assert shares[:4].sum() == pytest.approx(0.25) and shares.sum() == pytest.approx(1.0)
    assert notes == ["node busy has 99% of the boxes and counts for 97%"]


def test_hold_down__most_frames_and_most_boxes() -> None:
    shares, notes = hold_down(["bad/a"] * 9 + ["good/b"], np.ones(10), boxes=[50.0] * 9 + [1.0])
    assert shares[:9].sum() <= 0.5
    assert len(notes) == 2


def test_hold_down__the_only_node_with_boxes_keeps_them() -> None:
    shares, notes = hold_down(["a/1"] * 4 + ["b/1"] * 4, np.ones(8), boxes=[3.0] * 4 + [0.0] * 4)
    assert np.ptp(shares) == 0 and not notes


def test_gather__boxes_of_two_classes_on_one_object_are_neither() -> None:
    item = replace(
        frame("a", "car", "bus", "car"), boxes=((0, 0, 20, 20), (0, 0, 20, 21), (50, 50, 60, 60)),
    )  # fmt: skip
    found = gather(frozen(item), frozenset(), LABELS)
    assert found.new[0].weights == (0.0, 0.0, 1.0)
    assert found.notes[0].startswith("1 objects have boxes of two classes")


def test_gather__what_a_machine_doubted_contests_no_label() -> None:
    item = replace(frame("a", "car", "bus"), boxes=((0, 0, 20, 20), (0, 0, 20, 21)), weights=(0.7, 0.0))
    found = gather(frozen(item), frozenset(), LABELS)
    assert found.new[0].weights == (0.7, 0.0)
    assert not any("two classes" in note for note in found.notes)


def test_contradicting__disputed_frames_and_pictures_labelled_twice() -> None:
    settled = replace(frame("a", "car"), picture="p")
    same = replace(frame("b", "car"), picture="p")
    other = replace(frame("c", "bus"), picture="q")
    again = replace(frame("d", "car"), picture="q")
    disputed = replace(frame("e", "car"), disputed=True)
    left, lines = contradicting([settled, same, other, again, disputed])
    assert [item.frame for item in left] == ["e", "c", "d"]
    assert "1 frames (e) that two people answer differently" in lines[0]
    assert "2 frames (c, d) with the same picture" in lines[1]


def test_gather__a_class_that_is_alone_is_learned() -> None:
    found = gather(frozen(frame("a", *["car"] * 9)), frozenset(), ("car",))
    assert found.notes == () and len(found.new) == 1


@pytest.mark.parametrize("cameras", [["a/1"] * 4, ["a/1", "a/2", "b/1", "b/2"]], ids=["one node", "even"])
def test_hold_down__leaves_what_is_right(cameras: list[str]) -> None:
    shares, notes = hold_down(cameras, np.ones(4))
    assert np.ptp(shares) == 0 and not notes
