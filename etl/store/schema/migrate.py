"""Schema versions, by Alembic. The scripts lie in the project's `migrations/`, in the wheel too."""

import re
from typing import TYPE_CHECKING, Final

from sqlalchemy import Connection, Engine, inspect, select
from sqlalchemy import table as lightweight
from sqlalchemy.sql import column

from etl.errors import ConfigError, SchemaMismatch
from etl.invocation import find_resource, program_name
from etl.store.schema.tables import metadata

if TYPE_CHECKING:
    from alembic.config import Config

HEAD: Final = "0009"
"""The revision that this program works with; known here so that a run needn't load Alembic."""

ANOTHERS: Final = "another program's? choose another file or database in database.url"

LOCK: Final = 7_461_120_093
"""PostgreSQL's advisory lock for migrations: two processes that start at once take turns."""


def read_revision(engine: Engine) -> str | None:
    """The database's revision; None if it has none. Raises SchemaMismatch if it isn't ours."""
    with engine.connect().execution_options(reads=True) as connection:
        return _read_revision(connection)


def ensure(engine: Engine, *, migrate: bool = False) -> None:
    """Make an empty database ready, or with `migrate` an older one.

    Raises SchemaMismatch for an older or newer database.
    """
    found = read_revision(engine)
    if found == HEAD:
        return
    if found is None or migrate:
        upgrade(engine)
        return
    raise make_mismatch(found)


def make_mismatch(found: str) -> SchemaMismatch:
    """The error for a database of another schema."""
    if _is_known(found):
        hint = f"`{program_name()} db upgrade` (or --migrate) upgrades it; back it up first"
        return SchemaMismatch(f"the database has schema {found}, this program needs {HEAD}", hint)
    is_ours = re.fullmatch(r"\d{4}", found)
    hint = "install the newer gumloop-etl that made it" if is_ours else ANOTHERS
    return SchemaMismatch(f"the database has schema {found}, which this program doesn't know", hint)


def upgrade(engine: Engine, revision: str = "head") -> None:
    """Bring the schema up to a revision.

    Raises SchemaMismatch if the database is a newer one, ConfigError if it can't hold every text.
    """
    from alembic import command

    with engine.begin() as connection:
        check_encoding(connection)
        _take_turns(connection)
        found = _read_revision(connection)
        _check_known(found)
        command.upgrade(_make_config(connection), revision)


def downgrade(engine: Engine, revision: str) -> None:
    """Take the schema back to a revision (`base`: none). Columns and tables of later ones go."""
    from alembic import command
    from alembic.util import CommandError

    with engine.begin() as connection:
        _take_turns(connection)
        _check_known(_read_revision(connection))
        try:
            command.downgrade(_make_config(connection), revision)
        except CommandError as error:
            hint = f"revisions are 0001 to {HEAD}, and base for none at all"
            raise SchemaMismatch(f"can't downgrade to {revision!r:.80}: {error}", hint) from None


def check_encoding(connection: Connection) -> None:
    """Raise ConfigError for a PostgreSQL database whose encoding is not UTF8."""
    if connection.dialect.name != "postgresql":
        return
    encoding = connection.exec_driver_sql("SHOW server_encoding").scalar_one()
    if encoding != "UTF8":
        hint = "make another: CREATE DATABASE gumloop ENCODING 'UTF8' LOCALE 'C' TEMPLATE template0"
        raise ConfigError(f"the database's encoding is {encoding}, and UTF8 is needed", hint)


def _read_revision(connection: Connection) -> str | None:
    """The database's revision; None if it has none. Raises SchemaMismatch if it isn't ours."""
    # The tables come first: another process may make them, and then there is a version, too.
    taken = sorted({*inspect(connection).get_table_names()} & {*metadata.tables})
    found = None
    if inspect(connection).has_table("alembic_version"):
        version = lightweight("alembic_version", column("version_num"))
        found = connection.scalar(select(version.c.version_num))
    if found is None and taken:
        raise SchemaMismatch(f"the database has a table {taken[0]!r} that isn't ours", ANOTHERS)
    return None if found is None else str(found)


def _take_turns(connection: Connection) -> None:
    if connection.dialect.name == "postgresql":
        # An index on a long history takes its time, and so may the wait for the turn.
        connection.exec_driver_sql("SET LOCAL statement_timeout = 0")
        connection.exec_driver_sql("SET LOCAL lock_timeout = 0")
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({LOCK})")


def _check_known(found: str | None) -> None:
    if found is not None and not _is_known(found):
        raise make_mismatch(found)


def _is_known(revision: str) -> bool:
    return any(find_resource("migrations", "versions").glob(f"{revision}_*.py"))


def _make_config(connection: Connection) -> "Config":
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(find_resource("migrations")).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config
