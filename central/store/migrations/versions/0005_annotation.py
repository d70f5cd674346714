"""Labelling together."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa
from alembic import op

from central.store.models import UtcDateTime

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

OUTCOMES = ("kept", "moved", "relabelled", "deleted")
ANSWERS = ("left", "right", "cant_tell")


def _columns() -> dict[str, tuple[sa.Column[Any], ...]]:
    """Return the new columns of the tables that there were."""
    return {
        "frame": (
            sa.Column("tags", sa.JSON(), nullable=False, server_default="{}"),
            sa.Column("tag_proposals", sa.JSON(), nullable=False, server_default="{}"),
            sa.Column("opinion", sa.String(length=16), nullable=True),
        ),
        "annotation": (
            sa.Column("confidence", sa.Double(), nullable=True), sa.Column("mask", sa.JSON(), nullable=True),
            sa.Column("origin", sa.String(length=64), nullable=True),
            sa.Column("origin_score", sa.Double(), nullable=True), sa.Column("moved", sa.Boolean(), nullable=True),
        ),
        "label_revision": (
            sa.Column("tags", sa.JSON(), nullable=False, server_default="{}"),
            sa.Column("seconds", sa.Double(), nullable=True),
        ),
    }  # fmt: skip


def _text(name: str, length: int) -> sa.Column[Any]:
    return sa.Column(name, sa.String(length=length), nullable=False)


def _json(*names: str) -> Iterator[sa.Column[Any]]:
    return (sa.Column(name, sa.JSON(), nullable=False) for name in names)


def _of_frame(table: str, column: str = "frame") -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint([column], ["frame.id"], name=op.f(f"fk_{table}_{column}"), ondelete="CASCADE")


def _one_of(table: str, column: str, values: tuple[str, ...]) -> sa.CheckConstraint:
    names = ", ".join(f"'{value}'" for value in values)
    return sa.CheckConstraint(f"{column} IN ({names})", name=op.f(f"ck_{table}_{column}"))


def _key(table: str, *columns: str) -> sa.PrimaryKeyConstraint:
    return sa.PrimaryKeyConstraint(*columns, name=op.f(f"pk_{table}"))


def upgrade() -> None:
    """Bring in what is new."""
    for table, columns in _columns().items():
        with op.batch_alter_table(table) as batch:
            for column in columns:
                batch.add_column(column)
    op.create_index("ix_frame_opinion", "frame", ["opinion", "value"])
    _at_work()
    _judged()
    _pairs()


def _at_work() -> None:
    """Leases, drafts, flags."""
    op.create_table(
        "lease", _text("frame", 36), _text("by", 64), sa.Column("until", UtcDateTime(), nullable=False),
        _of_frame("lease"), _key("lease", "frame"),
    )  # fmt: skip
    op.create_index("ix_lease_by", "lease", ["by"])
    op.create_index("ix_lease_until", "lease", ["until"])
    op.create_table(
        "draft", _text("frame", 36), _text("author", 64), sa.Column("revision", sa.Integer(), nullable=False),
        *_json("boxes", "tags", "complete_for"), sa.Column("at", UtcDateTime(), nullable=False),
        _of_frame("draft"), _key("draft", "frame", "author"),
    )  # fmt: skip
    op.create_index("ix_draft_author", "draft", ["author"])
    op.create_table(
        "flag", _text("frame", 36), _text("by", 64), sa.Column("note", sa.Text(), nullable=False),
        sa.Column("at", UtcDateTime(), nullable=False), _of_frame("flag"), _key("flag", "frame"),
    )  # fmt: skip


def _judged() -> None:
    """Second opinions, and what proposals were worth."""
    op.create_table(
        "opinion", _text("frame", 36), _text("author", 64), sa.Column("revision", sa.Integer(), nullable=False),
        _text("first", 64), *_json("boxes", "complete_for", "tags"), sa.Column("seconds", sa.Double(), nullable=True),
        sa.Column("at", UtcDateTime(), nullable=False), _of_frame("opinion"), _key("opinion", "frame", "author"),
    )  # fmt: skip
    op.create_index("ix_opinion_at", "opinion", ["at"])
    op.create_table(
        "verdict", sa.Column("id", sa.Integer(), autoincrement=True, nullable=False), _text("frame", 36),
        sa.Column("revision", sa.Integer(), nullable=False), _text("source", 64), _text("label", 64),
        sa.Column("score", sa.Double(), nullable=True), _text("outcome", 16), _one_of("verdict", "outcome", OUTCOMES),
        _of_frame("verdict"), _key("verdict", "id"),
    )  # fmt: skip
    op.create_index("ix_verdict_frame", "verdict", ["frame"])
    op.create_index("ix_verdict_source", "verdict", ["source", "label"])


def _pairs() -> None:
    """Which of two objects is sharper."""
    op.create_table(
        "blur_pair", sa.Column("id", sa.Integer(), autoincrement=True, nullable=False), _text("left", 36),
        *_json("left_box"), _text("right", 36), *_json("right_box"), _text("label", 64),
        sa.Column("value", sa.Double(), nullable=False), sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("answered", sa.Integer(), nullable=False), sa.Column("created", UtcDateTime(), nullable=False),
        _of_frame("blur_pair", "left"), _of_frame("blur_pair", "right"), _key("blur_pair", "id"),
    )  # fmt: skip
    op.create_index("ix_blur_pair_left", "blur_pair", ["left"])
    op.create_index("ix_blur_pair_right", "blur_pair", ["right"])
    op.create_index("ix_blur_pair_open", "blur_pair", ["answered", "value", "id"])
    op.create_table(
        "pair_label", sa.Column("pair", sa.Integer(), nullable=False), _text("author", 64), _text("answer", 16),
        sa.Column("seconds", sa.Double(), nullable=True), sa.Column("at", UtcDateTime(), nullable=False),
        _one_of("pair_label", "answer", ANSWERS),
        sa.ForeignKeyConstraint(["pair"], ["blur_pair.id"], name=op.f("fk_pair_label_pair"), ondelete="CASCADE"),
        _key("pair_label", "pair", "author"),
    )  # fmt: skip


def downgrade() -> None:
    """Take it out again."""
    for table in ("pair_label", "blur_pair", "verdict", "opinion", "flag", "draft", "lease"):
        op.drop_table(table)
    op.drop_index("ix_frame_opinion", "frame")
    for table, columns in _columns().items():
        with op.batch_alter_table(table) as batch:
            for column in columns:
                batch.drop_column(column.name)
