"""Who may do what, and what they did."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from central.store.models import UtcDateTime

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

ROLES = ("viewer", "annotator", "engineer", "admin")


def _role(table: str) -> sa.CheckConstraint:
    listed = ", ".join(f"'{role}'" for role in ROLES)
    return sa.CheckConstraint(f"role IN ({listed})", name=op.f(f"ck_{table}_role"))


def upgrade() -> None:
    """Bring in what is new."""
    op.create_table(
        "site_role",
        sa.Column("user", sa.String(64), sa.ForeignKey("user.name", ondelete="CASCADE"), primary_key=True),
        sa.Column("site", sa.String(64), primary_key=True),
        sa.Column("role", sa.String(16), nullable=False),
        _role("site_role"),
    )
    op.create_table(
        "api_token",
        sa.Column("id", sa.Integer(), primary_key=True, autoincrement=True),
        sa.Column("token_sha256", sa.String(64), nullable=False, unique=True),
        sa.Column("user", sa.String(64), sa.ForeignKey("user.name", ondelete="CASCADE"), nullable=False),
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("role", sa.String(16), nullable=False),
        sa.Column("created", UtcDateTime(), nullable=False),
        sa.Column("expires", UtcDateTime(), nullable=False),
        _role("api_token"),
    )
    op.create_index("ix_api_token_user", "api_token", ["user"])
    op.create_table(
        "audit_entry",
        sa.Column("id", sa.Integer(), primary_key=True, autoincrement=True),
        sa.Column("at", UtcDateTime(), nullable=False),
        sa.Column("by", sa.String(64), nullable=False),
        sa.Column("action", sa.String(64), nullable=False),
        sa.Column("target", sa.Text(), nullable=False),
        sa.Column("status", sa.Integer(), nullable=False),
        sa.Column("address", sa.String(64), nullable=False),
    )
    op.create_index("ix_audit_entry_at", "audit_entry", ["at"])
    op.create_index("ix_audit_entry_by", "audit_entry", ["by"])
    op.create_table(
        "webhook",
        sa.Column("id", sa.Integer(), primary_key=True, autoincrement=True),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("kinds", sa.JSON(), nullable=False),
        sa.Column("secret", sa.Text(), nullable=False),
        sa.Column("by", sa.String(64), nullable=False),
        sa.Column("created", UtcDateTime(), nullable=False),
        sa.Column("told_at", UtcDateTime(), nullable=True),
        sa.Column("outcome", sa.Text(), nullable=False),
    )


def downgrade() -> None:
    """Take it out again."""
    for name in ("webhook", "audit_entry", "api_token", "site_role"):
        op.drop_table(name)
