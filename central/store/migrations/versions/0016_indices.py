"""Indices for a million frames: those that only a few rows need hold only these, and counting looks at no table."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0014"
branch_labels = None
depends_on = None


def _partial(name: str, table: str, columns: list[str], condition: str) -> None:
    op.create_index(name, table, columns, sqlite_where=sa.text(condition), postgresql_where=sa.text(condition))


def upgrade() -> None:
    """Bring in what is new."""
    op.drop_index("ix_frame_labelled", "frame")
    _partial("ix_frame_labelled", "frame", ["labelled_at", "state", "node", "camera"], "labelled_at IS NOT NULL")
    op.drop_index("ix_frame_opinion", "frame")
    _partial("ix_frame_opinion", "frame", ["opinion", "value"], "opinion IS NOT NULL")
    op.drop_index("ix_annotation_label", "annotation")
    op.create_index("ix_annotation_confirmed", "annotation", ["confirmed", "label"])


def downgrade() -> None:
    """Take it out again."""
    op.drop_index("ix_annotation_confirmed", "annotation")
    op.create_index("ix_annotation_label", "annotation", ["label"])
    op.drop_index("ix_frame_opinion", "frame")
    op.create_index("ix_frame_opinion", "frame", ["opinion", "value"])
    op.drop_index("ix_frame_labelled", "frame")
    op.create_index("ix_frame_labelled", "frame", ["labelled_at"])
