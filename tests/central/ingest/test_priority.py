"""The order in which frames of the audit are asked says nothing of what they show."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from central.ingest.value import priority, value
from protocols.messages import AUDIT_REASON, Assessment

LOW, HIGH = Assessment(), Assessment(uncertainty=1.0, inconsistency=1.0)


def message(number: int, assessment: Assessment, reason: str) -> Any:
    """What `priority` reads of a frame's message."""
    frame = f"019e0000-0000-7000-8000-{number * 2654435761 % 2**48:012x}"
    return SimpleNamespace(id=frame, assessment=assessment, selection=SimpleNamespace(reason=reason))


def test_priority__of_an_audit_frame_is_that_of_its_id_alone() -> None:
    assert priority(message(7, LOW, AUDIT_REASON)) == priority(message(7, HIGH, AUDIT_REASON))


def test_priority__of_audit_frames_is_spread_evenly() -> None:
    drawn = [priority(message(n * 65_537, LOW, AUDIT_REASON)) for n in range(1, 400)]
    assert 0.4 < sum(drawn) / len(drawn) < 0.6
    assert all(0.0 <= p < 1.0 for p in drawn)


def test_priority__of_any_other_is_its_value() -> None:
    assert priority(message(7, HIGH, "two cars vanish")) == value(HIGH)
