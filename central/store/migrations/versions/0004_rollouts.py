"""Releases in waves."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

from central.store.models import UtcDateTime

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

STATES = ("planned", "running", "paused", "halted", "rolling_back", "done", "aborted", "rolled_back")
WAVES = ("waiting", "open", "passed", "failed")
STAGES = (
    "waiting", "away", "offered", "installed", "healthy", "failed", "withdrawn", "returning", "returned", "stuck",
)  # fmt: skip


def _columns() -> dict[str, tuple[sa.Column[Any], ...]]:
    """Return the new columns of the tables that there were."""
    return {
        "node": (
            sa.Column("crashes", sa.Integer(), nullable=True), sa.Column("health_at", UtcDateTime(), nullable=True),
        ),
        "camera": (sa.Column("tags", sa.JSON(), nullable=False, server_default="[]"),),
        "release": (sa.Column("rollout", sa.Integer(), nullable=True),),
        "release_node": (
            sa.Column("withdrawn", sa.Boolean(), nullable=False, server_default=sa.false()),
            sa.Column("report", sa.JSON(), nullable=False, server_default="{}"),
        ),
    }  # fmt: skip


def _one_of(table: str, column: str, values: tuple[str, ...]) -> sa.CheckConstraint:
    names = ", ".join(f"'{value}'" for value in values)
    return sa.CheckConstraint(f"{column} IN ({names})", name=op.f(f"ck_{table}_{column}"))


def upgrade() -> None:
    """Bring in what is new."""
    for table, columns in _columns().items():
        with op.batch_alter_table(table, schema=None) as batch_op:
            for column in columns:
                batch_op.add_column(column)
    op.create_table(
        "rollout",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("pack", sa.String(length=64), nullable=False),
        sa.Column("from_pack", sa.String(length=64), nullable=True),
        sa.Column("release", sa.Integer(), nullable=True),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("fleet", sa.Boolean(), nullable=False),
        sa.Column("plan", sa.JSON(), nullable=False),
        sa.Column("wave", sa.Integer(), nullable=False),
        sa.Column("clock_s", sa.Double(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("notes", sa.Text(), nullable=False),
        sa.Column("by", sa.String(length=64), nullable=False),
        sa.Column("created", UtcDateTime(), nullable=False),
        sa.Column("started", UtcDateTime(), nullable=True),
        sa.Column("finished", UtcDateTime(), nullable=True),
        _one_of("rollout", "state", STATES),
        sa.ForeignKeyConstraint(["pack"], ["pack.address"], name=op.f("fk_rollout_pack_pack")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_rollout")),
    )
    op.create_table(
        "rollout_wave",
        sa.Column("rollout", sa.Integer(), nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("in_group", sa.String(length=64), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("opened", UtcDateTime(), nullable=True),
        sa.Column("opened_s", sa.Double(), nullable=True),
        sa.Column("settled_s", sa.Double(), nullable=True),
        sa.Column("closed", UtcDateTime(), nullable=True),
        sa.Column("gates", sa.JSON(), nullable=False),
        _one_of("rollout_wave", "state", WAVES),
        sa.ForeignKeyConstraint(
            ["rollout"], ["rollout.id"], name=op.f("fk_rollout_wave_rollout_rollout"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("rollout", "number", name=op.f("pk_rollout_wave")),
    )
    op.create_table(
        "rollout_node",
        sa.Column("rollout", sa.Integer(), nullable=False),
        sa.Column("node", sa.String(length=64), nullable=False),
        sa.Column("wave", sa.Integer(), nullable=False),
        sa.Column("in_group", sa.String(length=64), nullable=False),
        sa.Column("stage", sa.String(length=16), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("late", sa.Boolean(), nullable=False),
        sa.Column("forgiven", sa.Boolean(), nullable=False),
        sa.Column("offered", UtcDateTime(), nullable=True),
        sa.Column("offered_s", sa.Double(), nullable=True),
        sa.Column("silent_s", sa.Double(), nullable=True),
        sa.Column("health_seen", UtcDateTime(), nullable=True),
        sa.Column("from_pack", sa.String(length=64), nullable=True),
        sa.Column("back", sa.Integer(), nullable=True),
        sa.Column("before", sa.JSON(), nullable=False),
        sa.Column("after", sa.JSON(), nullable=False),
        _one_of("rollout_node", "stage", STAGES),
        sa.ForeignKeyConstraint(["node"], ["node.name"], name=op.f("fk_rollout_node_node_node"), ondelete="CASCADE"),
        sa.ForeignKeyConstraint(
            ["rollout"], ["rollout.id"], name=op.f("fk_rollout_node_rollout_rollout"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("rollout", "node", name=op.f("pk_rollout_node")),
    )
    with op.batch_alter_table("rollout_node", schema=None) as batch_op:
        batch_op.create_index("ix_rollout_node_node", ["node"], unique=False)
    op.create_table(
        "rollout_event",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("rollout", sa.Integer(), nullable=False),
        sa.Column("at", UtcDateTime(), nullable=False),
        sa.Column("by", sa.String(length=64), nullable=False),
        sa.Column("kind", sa.String(length=24), nullable=False),
        sa.Column("from_state", sa.String(length=16), nullable=False),
        sa.Column("to_state", sa.String(length=16), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("data", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(
            ["rollout"], ["rollout.id"], name=op.f("fk_rollout_event_rollout_rollout"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_rollout_event")),
    )
    with op.batch_alter_table("rollout_event", schema=None) as batch_op:
        batch_op.create_index("ix_rollout_event_rollout", ["rollout", "id"], unique=False)


def downgrade() -> None:
    """Take it out again."""
    for table in ("rollout_event", "rollout_node", "rollout_wave", "rollout"):
        op.drop_table(table)
    for table, columns in _columns().items():
        with op.batch_alter_table(table, schema=None) as batch_op:
            for column in columns:
                batch_op.drop_column(column.name)
