"""What a round was judged by, what it goes on with after a kill, and packs that nobody is offered."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Bring in what is new."""
    with op.batch_alter_table("round") as table:
        table.add_column(sa.Column("options", sa.JSON(), nullable=False, server_default="{}"))
        table.add_column(sa.Column("starts", sa.Integer(), nullable=False, server_default="1"))
        table.add_column(sa.Column("offered", sa.Boolean(), nullable=True))
        table.add_column(sa.Column("verdict", sa.Text(), nullable=False, server_default=""))
        table.add_column(sa.Column("gates", sa.JSON(), nullable=False, server_default="[]"))
    with op.batch_alter_table("pack") as table:
        table.add_column(sa.Column("held", sa.Text(), nullable=True))
        table.add_column(sa.Column("overridden", sa.Text(), nullable=True))


def downgrade() -> None:
    """Take it out again."""
    with op.batch_alter_table("pack") as table:
        for name in ("overridden", "held"):
            table.drop_column(name)
    with op.batch_alter_table("round") as table:
        for name in ("gates", "verdict", "offered", "starts", "options"):
            table.drop_column(name)
