"""quotas in bytes and per day"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    with op.batch_alter_table("policy", schema=None) as batch_op:
        batch_op.add_column(sa.Column("frames_per_day", sa.Double(), nullable=True))
        batch_op.add_column(sa.Column("bytes_per_hour", sa.BigInteger(), nullable=True))
        batch_op.add_column(sa.Column("bytes_per_day", sa.BigInteger(), nullable=True))


def downgrade() -> None:
    """Undo."""
    with op.batch_alter_table("policy", schema=None) as batch_op:
        for name in ("bytes_per_day", "bytes_per_hour", "frames_per_day"):
            batch_op.drop_column(name)
