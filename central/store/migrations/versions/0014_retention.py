"""What is kept for how long, holds, and the chain of what was deleted."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from central.store.models import UtcDateTime

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Bring in what is new."""
    op.create_table(
        "retention_rule",
        sa.Column("site", sa.String(64), nullable=False),
        sa.Column("unlabelled_days", sa.Integer(), nullable=True),
        sa.Column("labelled_days", sa.Integer(), nullable=True),
        sa.Column("skipped_days", sa.Integer(), nullable=True),
        sa.Column("labels_days", sa.Integer(), nullable=True),
        sa.Column("audit_days", sa.Integer(), nullable=True),
        sa.Column("size_bytes", sa.BigInteger(), nullable=True),
        sa.Column("updated", UtcDateTime(), nullable=False),
        sa.Column("by", sa.String(64), nullable=False),
        sa.PrimaryKeyConstraint("site", name="pk_retention_rule"),
    )
    op.create_table(
        "hold",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("frame", sa.String(36), nullable=True),
        sa.Column("node", sa.String(64), nullable=True),
        sa.Column("camera", sa.String(64), nullable=True),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("by", sa.String(64), nullable=False),
        sa.Column("at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_hold"),
    )
    op.create_index("ix_hold_frame", "hold", ["frame"])
    op.create_table(
        "deletion_run",
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("started", UtcDateTime(), nullable=False),
        sa.Column("finished", UtcDateTime(), nullable=True),
        sa.Column("by", sa.String(64), nullable=False),
        sa.Column("rules", sa.JSON(), nullable=False),
        sa.Column("kept", sa.JSON(), nullable=False),
        sa.Column("items", sa.Integer(), nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.Column("items_sha256", sa.String(64), nullable=False),
        sa.Column("previous", sa.String(64), nullable=False),
        sa.Column("hash", sa.String(64), nullable=False),
        sa.Column("key", sa.String(64), nullable=False),
        sa.Column("signature", sa.String(128), nullable=False),
        sa.PrimaryKeyConstraint("number", name="pk_deletion_run"),
    )
    op.create_table(
        "deletion",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("run", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("item", sa.String(64), nullable=False),
        sa.Column("node", sa.String(64), nullable=False),
        sa.Column("camera", sa.String(64), nullable=False),
        sa.Column("site", sa.String(64), nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("blob", sa.String(200), nullable=False),
        sa.Column("why", sa.Text(), nullable=False),
        sa.Column("at", UtcDateTime(), nullable=False),
        sa.Column("erased", sa.Boolean(), nullable=False),
        sa.CheckConstraint("kind IN ('frame', 'labels', 'audit')", name=op.f("ck_deletion_kind")),
        sa.ForeignKeyConstraint(["run"], ["deletion_run.number"], name="fk_deletion_run"),
        sa.PrimaryKeyConstraint("id", name="pk_deletion"),
    )
    op.create_index("ix_deletion_run", "deletion", ["run"])
    op.create_index("ix_deletion_item", "deletion", ["item"])
    op.create_index("ix_deletion_erased", "deletion", ["erased"])


def downgrade() -> None:
    """Take it out again."""
    for name in ("deletion", "deletion_run", "hold", "retention_rule"):
        op.drop_table(name)
