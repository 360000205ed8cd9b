"""Alembic's way in: on the connection that the program hands over, else on the configured one."""

from alembic import context
from sqlalchemy import Connection

from etl.store.schema.tables import SEARCH_INDEX, metadata


def migrate(connection: Connection) -> None:
    """Run the migrations on this connection."""
    context.configure(
        connection=connection,
        target_metadata=metadata,
        render_as_batch=True,
        compare_server_default=True,
        include_name=lambda name, *_: not SEARCH_INDEX.fullmatch(name or ""),
    )
    with context.begin_transaction():
        context.run_migrations()


def migrate_configured() -> None:
    """A plain `alembic upgrade head`: the database of config.toml, `$ETL_CONFIG` and `ETL_...`."""
    from etl.input.config_file import find_config, read_settings
    from etl.store.schema.engine import open_temporary_engine
    from etl.store.schema.migrate import check_encoding

    settings = read_settings(find_config(None))
    with open_temporary_engine(settings.database.url) as engine, engine.begin() as connection:
        check_encoding(connection)
        migrate(connection)


given = context.config.attributes.get("connection")
if given is None:
    migrate_configured()
else:
    migrate(given)
