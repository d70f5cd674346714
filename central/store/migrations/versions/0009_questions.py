"""What the queue asks, and which machine looked at what."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from central.store.models.base import UtcDateTime

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

KINDS = ("boxes", "box", "missing", "tag", "pair")


def _kind(table: str) -> sa.CheckConstraint:
    names = ", ".join(f"'{kind}'" for kind in KINDS)
    return sa.CheckConstraint(f"kind IN ({names})", name=op.f(f"ck_{table}_kind"))


def _frame(table: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(["frame"], ["frame.id"], name=op.f(f"fk_{table}_frame"), ondelete="CASCADE")


def upgrade() -> None:
    """Bring in what is new."""
    op.create_table(
        "frame_question",
        sa.Column("frame", sa.String(length=36), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("labels", sa.JSON(), nullable=False),
        sa.Column("tag", sa.String(length=64), nullable=True),
        sa.Column("boxes", sa.JSON(), nullable=False),
        sa.Column("pair", sa.Integer(), nullable=True),
        sa.Column("seconds", sa.Double(), nullable=False),
        sa.Column("gain", sa.Double(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("strategy", sa.String(length=64), nullable=False),
        sa.Column("at", UtcDateTime(), nullable=False),
        _kind("frame_question"),
        _frame("frame_question"),
        sa.PrimaryKeyConstraint("frame", name=op.f("pk_frame_question")),
    )
    op.create_table(
        "question_answer",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("frame", sa.String(length=36), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("question", sa.JSON(), nullable=False),
        sa.Column("answer", sa.String(length=16), nullable=False),
        sa.Column("seconds", sa.Double(), nullable=True),
        sa.Column("author", sa.String(length=64), nullable=False),
        sa.Column("at", UtcDateTime(), nullable=False),
        _kind("question_answer"),
        _frame("question_answer"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_question_answer")),
    )
    op.create_table(
        "frame_look",
        sa.Column("frame", sa.String(length=36), nullable=False),
        sa.Column("source", sa.String(length=64), nullable=False),
        sa.Column("version", sa.String(length=128), nullable=False),
        sa.Column("at", UtcDateTime(), nullable=False),
        _frame("frame_look"),
        sa.PrimaryKeyConstraint("frame", "source", name=op.f("pk_frame_look")),
    )
    op.create_table(
        "tag_proposal",
        sa.Column("frame", sa.String(length=36), nullable=False),
        sa.Column("tag", sa.String(length=64), nullable=False),
        sa.Column("source", sa.String(length=64), nullable=False),
        sa.Column("score", sa.Double(), nullable=False),
        sa.Column("confidence", sa.Double(), nullable=True),
        sa.Column("at", UtcDateTime(), nullable=False),
        _frame("tag_proposal"),
        sa.PrimaryKeyConstraint("frame", "tag", "source", name=op.f("pk_tag_proposal")),
    )
    op.create_index("ix_question_answer_frame", "question_answer", ["frame", "revision"], unique=False)
    op.create_index("ix_question_answer_kind", "question_answer", ["kind"], unique=False)


def downgrade() -> None:
    """Take it out again."""
    for table in ("tag_proposal", "frame_look", "question_answer", "frame_question"):
        op.drop_table(table)
