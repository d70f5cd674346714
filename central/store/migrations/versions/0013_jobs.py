"""A queue of jobs: what each is for, in which order, how often, for whom and where."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from central.store.models import UtcDateTime

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

TEXTS = (
    ("kind", sa.String(16), "chore"), ("title", sa.Text(), ""), ("by", sa.String(64), ""), ("place", sa.Text(), ""),
    ("server", sa.String(32), ""), ("log", sa.Text(), ""),
)  # fmt: skip
NUMBERS = (("priority", 0), ("attempts", 0), ("max_attempts", 1), ("beat", 0))


def upgrade() -> None:
    """Bring in what is new."""
    with op.batch_alter_table("job") as table:
        for name, kind, value in TEXTS:
            table.add_column(sa.Column(name, kind, nullable=False, server_default=value))
        for name, number in NUMBERS:
            table.add_column(sa.Column(name, sa.Integer(), nullable=False, server_default=str(number)))
        table.add_column(sa.Column("not_before", UtcDateTime(), nullable=True))
        table.add_column(sa.Column("needs", sa.JSON(), nullable=False, server_default="[]"))
        table.add_column(sa.Column("cancel", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.create_index("ix_job_kind_created", "job", ["kind", "created"])


def downgrade() -> None:
    """Take it out again."""
    op.drop_index("ix_job_kind_created", "job")
    with op.batch_alter_table("job") as table:
        for name in ("cancel", "needs", "not_before", *(n for n, _ in NUMBERS), *(n for n, _, _ in TEXTS)):
            table.drop_column(name)
