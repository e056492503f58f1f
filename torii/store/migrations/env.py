"""What Alembic runs to step a database: on the connection, and inside the transaction, of `torii.store.upgrade`."""

from __future__ import annotations

from alembic import context

context.configure(
    connection=context.config.attributes["connection"],
    render_as_batch=True,  # SQLite alters a table by making it anew
    transactional_ddl=True,  # a step that fails half way leaves the database as it was
)
context.run_migrations()
