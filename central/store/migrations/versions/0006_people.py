"""Who may do what, and what they did."""

from __future__ import annotations

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Bring in what is new."""


def downgrade() -> None:
    """Take it out again."""
