"""Where cameras stand, and how their scores went."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from central.store.models import UtcDateTime

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Bring in what is new."""
    with op.batch_alter_table("camera") as table:
        table.add_column(sa.Column("latitude", sa.Double(), nullable=True))
        table.add_column(sa.Column("longitude", sa.Double(), nullable=True))
    op.create_table(
        "camera_scores",
        sa.Column("node", sa.String(64), nullable=False),
        sa.Column("camera", sa.String(64), nullable=False),
        sa.Column("at", UtcDateTime(), nullable=False),
        sa.Column("blur_sum", sa.Double(), nullable=False),
        sa.Column("blur_count", sa.Integer(), nullable=False),
        sa.Column("uncertainty_sum", sa.Double(), nullable=False),
        sa.Column("uncertainty_count", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["node", "camera"], ["camera.node", "camera.name"], name="fk_camera_scores_node_camera", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("node", "camera", "at", name="pk_camera_scores"),
    )
    op.create_index("ix_camera_scores_at", "camera_scores", ["at"])
    op.create_index("ix_frame_timeline", "frame", ["node", "camera", "captured_at"])


def downgrade() -> None:
    """Take it out again."""
    op.drop_index("ix_frame_timeline", "frame")
    op.drop_table("camera_scores")
    with op.batch_alter_table("camera") as table:
        for name in ("longitude", "latitude"):
            table.drop_column(name)
