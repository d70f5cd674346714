"""What the gates get to see, from the tables.

Field accuracy is looked up apart: it reads thousands of frames, and it changes only as fast as people answer.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec
from sqlalchemy import select
from sqlalchemy.orm import Session, selectinload

from central.annotate import accuracy
from central.releases.gates import Accuracy, Evidence, NodeEvidence, State
from central.releases.rollout import OUT
from central.releases.rollout.fared import fared
from central.store.models import Frame, Node, ReleaseNode, RolloutNode
from protocols.messages import Shadow

BEYOND: Final = ("shadowing", "committed")
"""Steps, and failed steps, that come after the check of what a device computes."""
STATES: Final[dict[str, State]] = {
    "offered": "pending", "installed": "pending", "healthy": "healthy", "failed": "failed",
}  # fmt: skip


@dataclass(frozen=True)
class Field:
    """Field accuracy with the old and the new pack: over all cameras, and of each."""

    overall: Accuracy | None = None
    cameras: tuple[Accuracy, ...] = ()


def counted(row: RolloutNode) -> bool:
    """Whether `row` is judged: it was offered the release, and nobody forgave its failure; who came late counts once
    it has succeeded or failed."""
    if row.stage not in OUT or row.forgiven:
        return False
    return not row.late or row.stage in ("healthy", "failed")


def _shadow(raw: Any) -> Shadow | None:
    try:
        return msgspec.convert(raw, Shadow) if raw else None
    except msgspec.ValidationError:
        return None  # written by another version: as good as not told


def of_node(row: RolloutNode, node: Node, update: ReleaseNode | None) -> NodeEvidence:
    """Return the evidence of one node, its cameras loaded."""
    report = update.report if update is not None and update.report else {}
    reached = update is not None and (update.step in BEYOND or report.get("failed") in BEYOND)
    crashes = None
    if node.crashes is not None and row.before.get("crashes") is not None:
        crashes = max(0, node.crashes - int(row.before["crashes"]))
    return NodeEvidence(
        node=row.node, state=STATES[row.stage], backend=node.backend, reason=row.reason,
        failed_step=report.get("failed"), reached=reached, shadow=_shadow(report.get("shadow")), crashes=crashes,
        before=row.before, after=row.after or (fared(node) if row.stage == "healthy" else {}),
    )  # fmt: skip


def gather(
    rows: Sequence[RolloutNode],
    nodes: Mapping[str, Node],
    updates: Mapping[str, ReleaseNode],
    settled: bool,
    field: Field,
) -> Evidence:
    """Return the evidence of the `rows` that are judged."""
    judged = [row for row in rows if counted(row)]
    return Evidence(
        failed=sum(row.stage == "failed" for row in judged), judged=len(judged), settled=settled,
        nodes=[of_node(row, nodes[row.node], updates.get(row.node)) for row in judged],
        overall=field.overall, cameras=field.cameras,
    )  # fmt: skip


Key = tuple[str, str]


def _frames(session: Session, packs: Iterable[str], nodes: Iterable[str]) -> list[Frame]:
    query = (
        select(Frame)
        .where(Frame.pack.in_(list(packs)), Frame.node.in_(list(nodes)))
        .order_by(Frame.id.desc())
        .limit(accuracy.MOST_FRAMES)
        .options(selectinload(Frame.annotations))
    )
    return list(session.scalars(query))


def _grouped(frames: Iterable[Frame]) -> dict[Key, list[accuracy.Row]]:
    found: dict[Key, list[accuracy.Row]] = defaultdict(list)
    for frame in frames:
        found[(frame.node, frame.camera)].append(accuracy.row(frame))
    return found


def field_accuracy(session: Session, pack: str, before: Mapping[str, str]) -> Field:
    """Return the field accuracy of `pack` and of what each node ran `before` (address by node), on the same cameras.

    Only cameras that have frames of both count: else the packs would be judged on different streets.
    """
    if not before:
        return Field()
    torn = set(session.scalars(select(Node.name).where(Node.evicted > 0)))
    new = _grouped(_frames(session, [pack], before))
    old = _grouped(f for f in _frames(session, set(before.values()) - {pack}, before) if f.pack == before[f.node])
    shared = sorted(set(new) & set(old))
    if not shared:
        return Field()

    def pair(name: str, keys: Sequence[Key]) -> Accuracy:
        whole = not torn & {node for node, _ in keys}
        key = ("", name, pack)
        was = accuracy.estimate(key, [row for k in keys for row in old[k]], whole)
        now = accuracy.estimate(key, [row for k in keys for row in new[k]], whole)
        return Accuracy(name, was.found, now.found, was.right, now.right)

    cameras = tuple(pair(f"{node}/{camera}", [(node, camera)]) for node, camera in shared)
    known = tuple(c for c in cameras if (c.found_before and c.found_after) or (c.right_before and c.right_after))
    return Field(pair("", shared), known)
