"""How Alembic gets at the database: over the connection that `upgrading.py` gives it."""

from alembic import context

context.configure(connection=context.config.attributes["connection"])
with context.begin_transaction():
    context.run_migrations()
