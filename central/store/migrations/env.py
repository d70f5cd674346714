"""Alembic's way in: runs the revisions on the connection that `migrate` opened."""

from __future__ import annotations

from alembic import context

from central.store.models import Base

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    render_as_batch=True,
    transactional_ddl=True,
)
with context.begin_transaction():
    context.run_migrations()
