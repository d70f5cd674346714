"""Editing a project's profile while people work with it.

    the profile as it is, version V -> a change that names V -> version V + 1, with its author and what became of labels

What is renamed is renamed on every frame; what is removed is taken off, or kept as it is (nobody can give it any more),
as the change says. A label that is in use and of which the change says nothing is refused. Every frame that changes
gets a new revision, so that the answers of before, and the snapshots with them, stay what they were.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

import msgspec
from sqlalchemy import String, cast, delete, func, or_, select, update
from sqlalchemy.orm import Session

from central.annotate.profile import Profile
from central.store.models import Annotation, Frame, LabelRevision, ProfileVersion
from protocols.messages import utc_now

PAGE: Final = 500
"""Frames that are changed at a time."""
Removal = Literal["delete", "keep"]


class EditError(ValueError):
    """A change that is refused. `code` is for programs, `detail` says more."""

    def __init__(self, code: str, message: str, detail: Any = None) -> None:
        super().__init__(message)
        self.code, self.detail = code, detail


@dataclass(frozen=True)
class Change:
    """What somebody wants, having seen `version`. Renamed and removed names are those of labels, or of tags."""

    version: int
    profile: Profile
    by: str
    renamed: Mapping[str, str] = field(default_factory=dict)
    removed: Mapping[str, Removal] = field(default_factory=dict)
    renamed_tags: Mapping[str, str] = field(default_factory=dict)
    removed_tags: Mapping[str, Removal] = field(default_factory=dict)
    note: str = ""


@dataclass(frozen=True)
class Use:
    """How often a label or tag was given."""

    frames: int
    boxes: int = 0


def latest(session: Session) -> ProfileVersion | None:
    """Return the newest version, None where the profile was never edited."""
    return session.scalars(select(ProfileVersion).order_by(ProfileVersion.version.desc()).limit(1)).first()


def history(session: Session, limit: int) -> list[ProfileVersion]:
    """Return the last versions, newest first."""
    return list(session.scalars(select(ProfileVersion).order_by(ProfileVersion.version.desc()).limit(limit)))


def _mentions(column: Any, name: str) -> Any:
    """Return the condition that the JSON of `column` has the text `name`."""
    return cast(column, String).contains(msgspec.json.encode(name).decode(), autoescape=True)


def label_use(session: Session, name: str) -> Use:
    """Return how often people gave the label `name`, counting frames that were only looked through for it."""
    boxes = select(func.count()).select_from(Annotation).where(Annotation.label == name, Annotation.confirmed)
    return Use(len(_frames_with(session, {name}, set())), int(session.scalar(boxes) or 0))


def tag_use(session: Session, name: str) -> Use:
    """Return on how many frames people gave the tag `name`, present or absent."""
    return Use(len(_frames_with(session, set(), {name})))


def _frames_with(session: Session, labels: set[str], tags: set[str]) -> list[str]:
    found: dict[str, None] = {}
    if labels:
        boxes = select(Annotation.frame).where(Annotation.label.in_(labels), Annotation.confirmed).distinct()
        found |= dict.fromkeys(session.scalars(boxes))
    if labels or tags:
        told = [_mentions(Frame.complete_for, name) for name in labels] + [_mentions(Frame.tags, name) for name in tags]
        found |= dict.fromkeys(session.scalars(select(Frame.id).where(or_(*told))))
    return sorted(found)


def _check(session: Session, old: Profile, change: Change) -> None:
    parts = (
        ("label", old.label_names, change.profile.label_names, change.renamed, change.removed, label_use),
        ("tag", old.tag_names, change.profile.tag_names, change.renamed_tags, change.removed_tags, tag_use),
    )
    for what, before, after, renamed, removed, use in parts:
        for name in (*renamed, *removed):
            if name not in before:
                raise EditError(f"unknown_{what}", f"{what} {name!r} does not exist; nothing can become of it")
        for name, new in renamed.items():
            if new not in after or name in after or name in removed:
                raise EditError("bad_rename", f"{what} {name!r} cannot become {new!r}: only the new name may be left")
        for name in set(before) - set(after) - set(renamed) - set(removed):
            used = use(session, name)
            if used.frames:
                message = f"{what} {name!r} is on {used.frames} frames; say what becomes of it: rename, delete or keep"
                raise EditError("in_use", message, {what: name, "frames": used.frames, "boxes": used.boxes})
        for name in set(removed) & set(after):
            raise EditError("bad_removal", f"{what} {name!r} is to be removed, and is still in the profile")


def _rewrite(session: Session, ids: Sequence[str], change: Change) -> None:
    """Give frames `ids` a new revision each, with what is renamed and without what is deleted."""
    gone = {name for name, how in change.removed.items() if how == "delete"}
    gone_tags = {name for name, how in change.removed_tags.items() if how == "delete"}
    for frame in session.scalars(select(Frame).where(Frame.id.in_(ids))):
        for row in frame.annotations:
            if row.confirmed and row.label in gone:
                session.delete(row)
            elif row.confirmed:
                row.label = change.renamed.get(row.label, row.label)
        left = [row for row in frame.annotations if row.confirmed and row.label not in gone]
        complete = {change.renamed.get(name, name) for name in frame.complete_for if name not in gone}
        frame.complete_for = sorted(complete)
        tags = {t: state for t, state in frame.tags.items() if t not in gone_tags}
        frame.tags = {change.renamed_tags.get(t, t): state for t, state in tags.items()}
        frame.revision += 1
        boxes = [_record(row) for row in left]
        session.add(
            LabelRevision(
                frame=frame.id, revision=frame.revision, author=change.by, at=utc_now(), state=frame.state,
                boxes=boxes, complete_for=frame.complete_for, tags=frame.tags,
            )
        )  # fmt: skip
        frame.labelled_at = utc_now()
    session.flush()
    session.expunge_all()


def _record(row: Annotation) -> dict[str, Any]:
    plain: dict[str, Any] = {"box": [row.x1, row.y1, row.x2, row.y2], "label": row.label}
    return plain | ({"mask": row.mask} if row.mask else {})


def _proposals(session: Session, change: Change) -> None:
    """Rename waiting proposals, and drop those that nobody could confirm any more."""
    for old, new in change.renamed.items():
        query = update(Annotation).where(Annotation.label == old, ~Annotation.confirmed)
        session.execute(query.values(label=new).execution_options(synchronize_session=False))
    if change.removed:
        query_gone = delete(Annotation).where(Annotation.label.in_(change.removed), ~Annotation.confirmed)
        session.execute(query_gone.execution_options(synchronize_session=False))


def edit(session: Session, old: Profile, change: Change) -> ProfileVersion:
    """Store `change` of the profile `old` in the open write transaction. Raises EditError.

    With the code ``conflict`` somebody else was quicker; nothing is stored then.
    """
    newest = latest(session)
    version = newest.version if newest is not None else 0
    if change.version != version:
        raise EditError("conflict", "somebody else changed the profile meanwhile; look at it as it is now")
    _check(session, old, change)
    touched = _frames_with(
        session,
        set(change.renamed) | {name for name, how in change.removed.items() if how == "delete"},
        set(change.renamed_tags) | {name for name, how in change.removed_tags.items() if how == "delete"},
    )
    for start in range(0, len(touched), PAGE):
        _rewrite(session, touched[start : start + PAGE], change)
    _proposals(session, change)
    changes = {
        "renamed": dict(change.renamed), "removed": dict(change.removed), "renamed_tags": dict(change.renamed_tags),
        "removed_tags": dict(change.removed_tags), "frames": len(touched),
    }  # fmt: skip
    row = ProfileVersion(
        version=version + 1, at=utc_now(), by=change.by, profile=change.profile.model_dump(mode="json"),
        changes=changes, note=change.note,
    )  # fmt: skip
    session.add(row)
    session.flush()
    return row
