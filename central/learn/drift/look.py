"""One look at one camera: which measures say what, whether that is drift, and why, in words.

Drift is what is both: too large for chance (corrected for the measures of a camera, its looks in a week, and all
cameras that were looked at together), and larger than MARGIN times what any day of the reference differs from its other
days. The second is what keeps quiet about weather and weekdays, which no permutation of hours knows of.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

import numpy as np

from central.learn.drift import Measure, known
from central.learn.drift.permute import apart, significance
from central.learn.drift.sample import Sample

WEEKLY: Final = 0.05
"""False alarms per camera and week that are accepted."""
MARGIN: Final = 1.5
"""How many times the largest difference between days of the reference: one day in eight of a week and a day is the
oddest of them, so 1 would be too little; with 1.25, two of 21 unchanged weeks had an alarm."""
LEAST_FRAMES: Final = 40
"""Of what arrives now, and of the reference, below which nothing is said."""
LEAST_DAYS: Final = 3
"""Of the reference: below, nobody knows what days differ by."""

Verdict = Literal["not_enough", "steady", "drift"]


@dataclass(frozen=True)
class Found:
    """What one measure says."""

    value: float
    usual: float | None
    """Largest difference of a day of the reference from its other days, more where fewer frames came now."""
    p: float
    before: float | None = None
    after: float | None = None

    @property
    def large(self) -> bool:
        """Whether it is more than days differ by anyhow."""
        return self.usual is not None and self.value > MARGIN * self.usual


@dataclass(frozen=True)
class Judged:
    """All measures of one look. `p`: of the strongest large one, corrected for their number; None: not enough."""

    p: float | None
    measures: Mapping[str, Found] = field(default_factory=dict)
    reason: str = ""


def _size(sample: Sample) -> float:
    """Return how many frames of equal weight say as much as `sample` (Kish 1965)."""
    return float(sample.weights.sum() ** 2 / np.maximum((sample.weights**2).sum(), 1e-300))


def _noise(reference: Sample, now: Sample) -> float:
    """Return how many times fewer frames there are now than on a day of the reference, at least 1: few differ more."""
    days = [_size(reference.of(reference.days == day)) for day in np.unique(reference.days)]
    return max(1.0, float(np.mean(days)) / _size(now))


def _usual(measure: Measure, reference: Sample, random: np.random.Generator) -> float | None:
    """Return the largest difference of a day of the reference from its other days."""
    days = reference.days
    found = [apart(measure, reference.of(days != day), reference.of(days == day), random) for day in np.unique(days)]
    said = [value for value in found if value is not None]
    return max(said) if len(said) >= LEAST_DAYS else None


def _mean(sample: Sample, name: str) -> float | None:
    values = sample.values.get(name)
    if values is None or values.ndim > 1:
        return None
    there = np.isfinite(values)
    return float(np.average(values[there], weights=sample.weights[there])) if there.any() else None


def judge(reference: Sample, now: Sample, seed: int = 0, wanted: Mapping[str, Measure] | None = None) -> Judged:
    """Compare `now` with `reference` by all measures. Pure; takes some tenths of a second."""
    if min(len(reference), len(now)) < LEAST_FRAMES:
        return Judged(
            None, reason=f"{len(now)} frames now and {len(reference)} before; {LEAST_FRAMES} are needed of each"
        )
    days = len(np.unique(reference.days))
    if days < LEAST_DAYS:
        return Judged(None, reason=f"learning what is usual here: {days} of {LEAST_DAYS} days")
    random = np.random.default_rng(seed)
    found: dict[str, Found] = {}
    noise = _noise(reference, now)
    for name, measure in (known() if wanted is None else wanted).items():
        said = significance(measure, reference, now, random)
        if said is not None:
            usual = _usual(measure, reference, random)
            means = (_mean(sample, measure.field) for sample in (reference, now))
            found[name] = Found(said[0], None if usual is None else usual * noise, said[1], *means)
    if not found:
        return Judged(None, reason="no part of the day has enough frames both now and before")
    large = [f.p for f in found.values() if f.large]
    return Judged(min(1.0, min(large) * len(found)) if large else 1.0, found)


def level(looks_per_week: float) -> float:
    """Return the probability below which one look of one camera is drift."""
    return WEEKLY / max(1.0, looks_per_week)


def decide(judged: Sequence[Judged], looks_per_week: float) -> list[Verdict]:
    """Return the verdict of each camera that was looked at together (Benjamini and Hochberg 1995)."""
    known_p = sorted(j.p for j in judged if j.p is not None)
    bound = 0.0
    for rank, p in enumerate(known_p, start=1):
        if p <= rank / len(known_p) * level(looks_per_week):
            bound = p
    return ["not_enough" if j.p is None else "drift" if j.p <= bound and bound > 0 else "steady" for j in judged]


def words(judged: Judged, verdict: Verdict) -> str:
    """Return why, in one line."""
    if judged.p is None:
        return judged.reason
    if verdict == "steady":
        loud = [name for name, f in judged.measures.items() if f.large]
        return "as it was" if not loud else f"hardly other than it was ({', '.join(loud)}: may be chance)"
    large = sorted((item for item in judged.measures.items() if item[1].large), key=lambda item: item[1].p)
    return "changed: " + "; ".join(_said(name, found) for name, found in large[:4])


def _said(name: str, found: Found) -> str:
    about = known()[name].about.partition(" (")[0] if name in known() else name
    ratio = f"{found.value / found.usual:.1f} times what days differ by" if found.usual else "unlike any day before"
    if found.before is not None and found.after is not None:
        return f"{about}, {found.before:.2f} before and {found.after:.2f} now, {ratio}"
    return f"{about}, {ratio}"
