"""Data sets, searches and profiles."""

from __future__ import annotations

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Bring in what is new."""


def downgrade() -> None:
    """Take it out again."""
