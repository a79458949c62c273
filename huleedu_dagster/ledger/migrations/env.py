"""Alembic's entry: migrates over the connection that the runner opened."""

from alembic import context

from huleedu_dagster.ledger.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,
    transactional_ddl=False,
)
context.run_migrations()
