"""Data sets, searches and profiles."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from central.store.models.base import UtcDateTime

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

INDEXES = {"ix_frame_received": "received_at", "ix_frame_labelled": "labelled_at", "ix_frame_name": "name"}


def upgrade() -> None:
    """Bring in what is new."""
    for name, column in INDEXES.items():
        op.create_index(name, "frame", [column], unique=False)
    op.create_table(
        "snapshot_note",
        sa.Column("snapshot", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("by", sa.String(length=64), nullable=False),
        sa.Column("at", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["snapshot"], ["snapshot.address"], name=op.f("fk_snapshot_note_snapshot_snapshot")),
        sa.PrimaryKeyConstraint("snapshot", name=op.f("pk_snapshot_note")),
    )
    op.create_table(
        "profile_version",
        sa.Column("version", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("at", UtcDateTime(), nullable=False),
        sa.Column("by", sa.String(length=64), nullable=False),
        sa.Column("profile", sa.JSON(), nullable=False),
        sa.Column("changes", sa.JSON(), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("version", name=op.f("pk_profile_version")),
    )
    op.create_table(
        "errand",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("tool", sa.String(length=64), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("project", sa.String(length=64), nullable=False),
        sa.Column("made", UtcDateTime(), nullable=False),
        sa.Column("pulled", UtcDateTime(), nullable=True),
        sa.Column("frames", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_errand")),
    )


def downgrade() -> None:
    """Take it out again."""
    for table in ("errand", "profile_version", "snapshot_note"):
        op.drop_table(table)
    for name in INDEXES:
        op.drop_index(name, "frame")
