"""Drift of cameras, what it triggers, and why rounds started."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from central.store.models.base import UtcDateTime

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Bring in what is new."""
    op.create_table(
        "drift_look",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("node", sa.String(length=64), nullable=False),
        sa.Column("camera", sa.String(length=64), nullable=False),
        sa.Column("at", UtcDateTime(), nullable=False),
        sa.Column("pack", sa.String(length=64), nullable=True),
        sa.Column("verdict", sa.String(length=16), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("basis", sa.String(length=16), nullable=False),
        sa.Column("reference", sa.String(length=16), nullable=False),
        sa.Column("reference_from", UtcDateTime(), nullable=True),
        sa.Column("reference_to", UtcDateTime(), nullable=True),
        sa.Column("frames_before", sa.Integer(), nullable=False),
        sa.Column("frames_now", sa.Integer(), nullable=False),
        sa.Column("p", sa.Double(), nullable=True),
        sa.Column("measures", sa.JSON(), nullable=False),
        sa.CheckConstraint("verdict IN ('not_enough', 'steady', 'drift')", name=op.f("ck_drift_look_verdict")),
        sa.ForeignKeyConstraint(["node"], ["node.name"], name=op.f("fk_drift_look_node_node"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_drift_look")),
    )
    op.create_index("ix_drift_look_camera", "drift_look", ["node", "camera", "at"], unique=False)
    op.create_index("ix_drift_look_at", "drift_look", ["at"], unique=False)
    op.create_table(
        "camera_boost",
        sa.Column("node", sa.String(length=64), nullable=False),
        sa.Column("camera", sa.String(length=64), nullable=False),
        sa.Column("factor", sa.Double(), nullable=False),
        sa.Column("since", UtcDateTime(), nullable=False),
        sa.Column("until", UtcDateTime(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["node"], ["node.name"], name=op.f("fk_camera_boost_node_node"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("node", "camera", name=op.f("pk_camera_boost")),
    )
    with op.batch_alter_table("round") as batch:
        batch.add_column(sa.Column("reason", sa.Text(), nullable=False, server_default=""))


def downgrade() -> None:
    """Take it out again."""
    with op.batch_alter_table("round") as batch:
        batch.drop_column("reason")
    op.drop_table("camera_boost")
    op.drop_index("ix_drift_look_at", "drift_look")
    op.drop_index("ix_drift_look_camera", "drift_look")
    op.drop_table("drift_look")
