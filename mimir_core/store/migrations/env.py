"""What alembic runs: the connection comes from whoever opens the store."""

from alembic import context

from mimir_core.store.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,
    transaction_per_migration=False,
)
context.run_migrations()
