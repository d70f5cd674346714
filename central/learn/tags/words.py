"""Word vectors of tags: what tells the decoupling that "bus" and "truck" are alike before any image does.

Those that ship are made of text alone: `words.yaml` describes each name in a few plain words, written for this project.
Each word, and each run of 3 to 5 letters in it, is hashed (SHAKE-256) to a fixed direction of DIMENSION signs;
a name's vector is the weighted sum of what its name and description hold, at unit length (the way of fastText's
subwords, Bojanowski et al., TACL 2017, without anything learned). A name without a description has its letters alone.
The same text gives the same vector everywhere.

Any other embedding is given by path: a text file of `word v1 v2 ...` lines (GloVe, word2vec text), where a name of
several words is the mean of theirs; or an ``.npz`` with ``names`` and ``vectors``.
"""

from __future__ import annotations

import hashlib
import re
import zipfile
from functools import cache
from pathlib import Path
from typing import Final

import numpy as np
import yaml
from numpy.typing import NDArray

TABLE: Final = Path(__file__).with_name("words.yaml")
DIMENSION: Final = 300
WHOLE: Final = 1.0
LETTERS: Final = 0.5
"""Weight of a word as such, and of all its runs of letters together."""
DESCRIBED: Final = 1.0
"""Weight of the description beside the name."""
MAX_LINE: Final = 100_000
"""Characters of a line of an embedding; 300 numbers have 4,000."""


class WordsError(ValueError):
    """Word vectors that cannot be read. The text says which and what to do."""


@cache
def descriptions() -> dict[str, str]:
    """Return the descriptions that ship, by name."""
    found: dict[str, str] = yaml.safe_load(TABLE.read_text(encoding="utf-8"))
    return found


@cache
def _direction(text: str) -> NDArray[np.float64]:
    bits = np.frombuffer(hashlib.shake_256(text.encode()).digest((DIMENSION + 7) // 8), np.uint8)
    return np.asarray((2.0 * np.unpackbits(bits)[:DIMENSION] - 1) / DIMENSION**0.5)


def _word(word: str) -> NDArray[np.float64]:
    marked = f"<{word}>"
    runs = [marked[i : i + n] for n in (3, 4, 5) for i in range(len(marked) - n + 1)]
    letters = np.sum([_direction(run) for run in runs], axis=0) / max(1, len(runs)) ** 0.5
    return np.asarray(WHOLE * _direction(marked) + LETTERS * letters)


def _text(text: str) -> NDArray[np.float64]:
    words = re.findall(r"[^\W_]+", text.lower())
    total = np.sum([_word(word) for word in words], axis=0) if words else _direction(text)
    return np.asarray(total / max(float(np.linalg.norm(total)), 1e-9))


def hashed(name: str) -> NDArray[np.float32]:
    """Return the unit vector ``[DIMENSION]`` of `name`, made of its text and its description."""
    found = _text(name)
    if name in descriptions():
        found = found + DESCRIBED * _text(descriptions()[name])
    return np.asarray(found / np.linalg.norm(found), np.float32)


def _listed(path: Path) -> dict[str, NDArray[np.float32]]:
    with np.load(path, allow_pickle=False) as file:
        return dict(zip((str(n) for n in file["names"]), np.asarray(file["vectors"], np.float32), strict=True))


def _lines(path: Path, wanted: set[str]) -> dict[str, NDArray[np.float32]]:
    found: dict[str, NDArray[np.float32]] = {}
    with path.open(encoding="utf-8", errors="replace") as lines:
        for line in lines:
            word, _, numbers = line[:MAX_LINE].partition(" ")
            if word in wanted and " " in numbers.strip():
                found[word] = np.array(numbers.split(), np.float32)
    return found


def _of(name: str, table: dict[str, NDArray[np.float32]]) -> NDArray[np.float32] | None:
    if name in table:
        return table[name]
    parts = [table[w] for w in re.findall(r"[^\W_]+", name.lower()) if w in table]
    return np.asarray(np.mean(parts, axis=0), np.float32) if parts else None


def vectors(names: tuple[str, ...], source: str = "shipped") -> NDArray[np.float32] | None:
    """Return the unit word vectors ``[C, E]`` of `names`; None for the `source` ``learned``.

    `source` is ``shipped``, ``learned``, or the path of an embedding. Raises WordsError, naming a tag that it lacks.
    """
    if source == "learned":
        return None
    if source == "shipped":
        return np.stack([hashed(name) for name in names])
    path = Path(source)
    wanted = {*names, *(w for name in names for w in re.findall(r"[^\W_]+", name.lower()))}
    try:
        table = _listed(path) if path.suffix == ".npz" else _lines(path, wanted)
        rows = {name: _of(name, table) for name in names}
        missing = [name for name, row in rows.items() if row is None]
        if missing:
            raise WordsError(f"{path}: no vector for {missing[0]!r}; add one, or use --words shipped")
        found = np.stack([row for row in rows.values() if row is not None])
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        if isinstance(error, WordsError):
            raise
        raise WordsError(f"{path}: not word vectors ({error}); give 'word v1 v2 ...' lines or an .npz") from None
    return np.asarray(found / np.maximum(np.linalg.norm(found, axis=1, keepdims=True), 1e-9), np.float32)
