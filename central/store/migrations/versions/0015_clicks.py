"""Questions that a click answers."""

from __future__ import annotations

from alembic import op

revision = "0015"
down_revision = "0016"
branch_labels = None
depends_on = None

BEFORE = ("boxes", "box", "missing", "tag", "pair")
TABLES = ("frame_question", "question_answer")


def _kinds(kinds: tuple[str, ...]) -> None:
    names = ", ".join(f"'{kind}'" for kind in kinds)
    for table in TABLES:
        with op.batch_alter_table(table) as batch:
            batch.drop_constraint(op.f(f"ck_{table}_kind"), type_="check")
            batch.create_check_constraint(op.f(f"ck_{table}_kind"), f"kind IN ({names})")


def upgrade() -> None:
    """Bring in what is new."""
    _kinds((*BEFORE, "click"))


def downgrade() -> None:
    """Take it out again: clicks go."""
    for table in TABLES:
        op.execute(f"DELETE FROM {table} WHERE kind = 'click'")
    _kinds(BEFORE)
