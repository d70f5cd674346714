"""How long what is kept, and proof of what was deleted.

    rules (settings < every site < one site)        `rules`
      -> what is due, without what is held          `due`, `holds`
      -> rows away and tombstones in, one commit    `run`     a kill after it: the next run erases what is left
      -> images away, durably
      -> the run is sealed: counted, hashed onto the one before, signed    `record`
    record -> exported, checked anywhere            `record`
           -> compared with all that is stored      `verify`
           -> applied to what a backup brought back `again`

Nothing is deleted unless a rule says so, and there is none at first. What is part of a snapshot, of an open round,
held, flagged, lent out or open on somebody's screen stays, and is counted. A tombstone outlives everything: a node that
sends a deleted frame again gets its receipt, and nothing is stored.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Final

import msgspec
from msgspec import Meta

EVERY: Final = "*"
"""The site of the rule for all sites that have none of their own."""
MAX_DAYS: Final = 36_500
"""A hundred years."""
MIN_SIZE: Final = 1_000_000
"""Bytes; a smaller limit is a slip of the pen."""
KINDS: Final = ("unlabelled", "labelled", "skipped", "labels", "audit")
UNITS: Final = {"kb": 10**3, "mb": 10**6, "gb": 10**9, "tb": 10**12}

Days = Annotated[int, Meta(ge=1, le=MAX_DAYS)]
Size = Annotated[int, Meta(ge=MIN_SIZE)]


class RetentionError(ValueError):
    """A rule, a record or a log that is wrong. The text is one line: what, where, what to do."""


class Rule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How many days a site keeps what, and how many bytes of images; None: for ever, without limit."""

    unlabelled_days: Days | None = None
    labelled_days: Days | None = None
    skipped_days: Days | None = None
    labels_days: Days | None = None
    audit_days: Days | None = None
    size_bytes: Size | None = None

    @property
    def empty(self) -> bool:
        """Whether it deletes nothing."""
        return self == Rule()

    def words(self) -> str:
        """Return the rule as `parse` reads it; ``keep everything`` where it deletes nothing."""
        parts = [f"{k}={days}" for k in KINDS if (days := getattr(self, f"{k}_days")) is not None]
        if self.size_bytes is not None:
            parts.append(f"size={self.size_bytes}")
        return " ".join(parts) or "keep everything"


def parse(text: str) -> Rule:
    """Return the rule that is written ``unlabelled=30 labelled=365 size=500GB``: days, and bytes of images.

    Raises RetentionError.
    """
    values: dict[str, int] = {}
    for part in text.split():
        name, _, value = part.partition("=")
        field = "size_bytes" if name == "size" else f"{name}_days"
        if name not in (*KINDS, "size") or field in values:
            names = ", ".join((*KINDS, "size"))
            raise RetentionError(f"retention: {part!r}: give {names}, each once at most, as in unlabelled=30")
        values[field] = _bytes(value) if name == "size" else _days(part, value)
    return made(values)


def made(values: Mapping[str, int | None]) -> Rule:
    """Return the rule with `values`, checked. Raises RetentionError."""
    try:
        return msgspec.convert(values, Rule)
    except msgspec.ValidationError as error:
        text = f"retention: {str(error)[:200]}; days are 1..{MAX_DAYS}, sizes at least {MIN_SIZE} bytes"
        raise RetentionError(text) from None


def _days(part: str, value: str) -> int:
    if not value.isascii() or not value.isdigit() or len(value) > 6:
        raise RetentionError(f"retention: {part!r}: give whole days, as in {part.partition('=')[0]}=30")
    return int(value)


def _bytes(value: str) -> int:
    unit = UNITS.get(value[-2:].lower())
    number = value if unit is None else value[:-2]
    if not number.isascii() or not number.isdigit() or len(number) > 18:
        raise RetentionError(f"retention: size={value}: give bytes, or KB, MB, GB or TB, as in size=500GB")
    return int(number) * (unit or 1)
