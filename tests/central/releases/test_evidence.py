"""What the gates see: field accuracy of the old and the new pack on the same cameras, and who is judged."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from central.releases.gates import gates
from central.releases.halting import Rule
from central.releases.rollout.evidence import counted, field_accuracy, gather, of_node
from central.releases.rollout.step import NOTHING
from central.store.database import Database
from central.store.models import Annotation, Frame, Node, ReleaseNode, RolloutNode
from tests.central.releases.fleet import NEW, OLD

pytestmark = pytest.mark.asyncio
FRAMES = 60


async def see(db: Database, node: str, camera: str, pack: str, found: float, begin: int, **more: Any) -> None:
    """Store reviewed frames, four cars in each, of which the pack saw the share `found`."""
    async with db.write() as session:
        if await session.get(Node, node) is None:
            session.add(Node(name=node, site="s"))
            await session.flush()
        for i in range(FRAMES):
            number = begin + i
            boxes = [(100.0 * k, 0.0, 100.0 * k + 50, 50.0) for k in range(4)]
            seen = [b for k, b in enumerate(boxes) if (4 * i + k) % 10 < 10 * found]
            session.add(
                Frame(
                    id=f"{number:08x}-0000-7000-8000-{hash((node, camera)) & 0xFFFFFFFFFFFF:012x}", node=node, site="s",
                    camera=camera, boot="b", sequence=number, captured_at=datetime(2026, 1, 1, tzinfo=UTC), width=640,
                    height=360, size_bytes=1, sha256=f"{number:064x}", blob=f"f/{node}{camera}{number}", pack=pack,
                    state="labelled", labelled_by="anna", complete_for=["car"],
                    selection={"keep": True, "probability": 0.5, "audit": 0.5, "reason": "x", "policy": "budget"},
                    detections=[{"box": list(b), "label": "car", "score": 0.9} for b in seen],
                    annotations=[
                        Annotation(x1=b[0], y1=b[1], x2=b[2], y2=b[3], label="car", source="person", confirmed=True)
                        for b in boxes
                    ],
                    **more,
                )
            )  # fmt: skip


async def test_field_accuracy__old_against_new_on_the_same_cameras(db: Database) -> None:
    await see(db, "n1", "a", OLD, 0.9, 0)
    await see(db, "n1", "a", NEW, 0.4, 1000)
    await see(db, "n1", "old-only", OLD, 0.1, 2000)
    await see(db, "n2", "elsewhere", NEW, 0.1, 3000)
    field = await db.run_read(lambda session: field_accuracy(session, NEW, {"n1": OLD}))
    assert field.overall is not None
    assert field.overall.found_before is not None
    assert field.overall.found_after is not None
    assert field.overall.found_before.value == pytest.approx(0.9, abs=0.03)
    assert field.overall.found_after.value == pytest.approx(0.4, abs=0.03)
    assert [c.camera for c in field.cameras] == ["n1/a"]
    evidence = gather([], {}, {}, True, field)
    for name, says in (("accuracy", "certainly worse"), ("worst_camera", "1 of 1 cameras lost")):
        gate = gates()[name]
        verdict = gate.judge(evidence, gate.limit or 0.0, Rule())
        assert (verdict.outcome, says in verdict.reason) == ("fail", True)


async def test_field_accuracy__nothing_to_compare(db: Database) -> None:
    await see(db, "n1", "a", NEW, 0.9, 0)
    assert await db.run_read(lambda session: field_accuracy(session, NEW, {"n1": OLD})) == NOTHING
    assert await db.run_read(lambda session: field_accuracy(session, NEW, {})) == NOTHING


@pytest.mark.parametrize(
    ("row", "judged"),
    [
        ({"stage": "waiting"}, False),
        ({"stage": "away", "late": True}, False),
        ({"stage": "offered"}, True),
        ({"stage": "offered", "late": True}, False),
        ({"stage": "healthy", "late": True}, True),
        ({"stage": "failed", "late": True}, True),
        ({"stage": "failed", "forgiven": True}, False),
        ({"stage": "returned"}, False),
    ],
)
async def test_counted__who_is_judged(row: dict[str, Any], judged: bool) -> None:
    assert counted(RolloutNode(node="n", **{"late": False, "forgiven": False, **row})) is judged


async def test_of_node__takes_what_the_node_told_and_no_nonsense() -> None:
    row = RolloutNode(node="n", stage="healthy", reason="", before={"crashes": 3}, after={"fps": 1.0})
    update = ReleaseNode(step="committed", report={"failed": None, "shadow": {"frames": 4, "agreement": 0.5}})
    found = of_node(row, Node(name="n", backend="cpu", crashes=5), update)
    assert (found.crashes, found.reached, found.shadow and found.shadow.agreement) == (2, True, 0.5)
    broken = of_node(row, Node(name="n", backend="", crashes=None), ReleaseNode(step="fetching", report={"shadow": 7}))
    assert (broken.crashes, broken.reached, broken.shadow) == (None, False, None)
