"""Labelling together."""

from __future__ import annotations

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Bring in what is new."""


def downgrade() -> None:
    """Take it out again."""
