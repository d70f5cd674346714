"""Word vectors: the same everywhere, alike where the words are, and from any file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from central.annotate import profile
from central.learn.tags import words
from central.learn.tags.data import COCO80


def test_vectors__are_the_same_everywhere() -> None:
    found = words.vectors(("car",))
    assert found is not None
    assert found.shape == (1, 300) and found[0, :3].tolist() == pytest.approx(FIRST, abs=1e-6)


FIRST = [0.088626, -0.043939, 0.046583]


def test_vectors__like_things_are_near() -> None:
    found = words.vectors(("bus", "truck", "pizza"))
    assert found is not None
    assert found[0] @ found[1] > 0.25 > 0.1 > abs(float(found[0] @ found[2]))
    assert np.linalg.norm(found, axis=1) == pytest.approx(1, abs=1e-5)


def test_descriptions__of_every_name_that_ships() -> None:
    names = {*COCO80}
    for shipped in ("street", "medical"):
        own = profile.load(shipped)
        names |= {*own.label_names, *own.tag_names}
    assert not names - set(words.descriptions())


def test_vectors__of_text_and_archives(tmp_path: Path) -> None:
    (tmp_path / "glove.txt").write_text("stop 1 0\nsign 0 1\ncar 3 4\nboat 1 1\n")
    found = words.vectors(("stop sign", "car"), str(tmp_path / "glove.txt"))
    assert found is not None and found == pytest.approx(np.array([[0.5**0.5] * 2, [0.6, 0.8]]))
    np.savez(tmp_path / "own.npz", names=np.array(["car"]), vectors=np.array([[0.0, 2.0]]))
    own = words.vectors(("car",), str(tmp_path / "own.npz"))
    assert own is not None and own.tolist() == [[0, 1]]


@pytest.mark.parametrize(
    ("content", "says"),
    [("car 1 2\n", "no vector for 'bus'"), ("bus one two\n", "not word vectors"), ("bus 1 2 3\ncar 1 2\n", "not word")],
)
def test_vectors__wrong_file(tmp_path: Path, content: str, says: str) -> None:
    (tmp_path / "v.txt").write_text(content)
    with pytest.raises(words.WordsError, match=says):
        words.vectors(("bus", "car") if "one" not in content else ("bus",), str(tmp_path / "v.txt"))


def test_vectors__learned() -> None:
    assert words.vectors(("car",), "learned") is None
