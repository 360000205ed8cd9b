"""`database.url`: from what people write to what SQLAlchemy and libpq take. Pure."""

import re
from pathlib import Path
from typing import Final

from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from etl.errors import ConfigError
from etl.urls import HOW_TO_ENCODE, is_ambiguous

FORMS: Final = "use sqlite:///FILE or postgresql://USER@HOST/DATABASE"
SEVERAL: Final = re.compile(
    r"(?P<head>postgres(?:ql)?(?:\+psycopg)?://(?:[^/?]*@)?)(?P<hosts>[^@/?]*,[^@/?]*)(?P<rest>(?:[/?].*)?)"
)
"""A URL with several hosts, as libpq takes it; SQLAlchemy takes them as options."""

FILE: Final = re.compile(r"sqlite(\+pysqlite)?:///")
SHOWN: Final = frozenset({"host", "port", "pgbouncer", "sslmode", "target_session_attrs"})
"""Options of a URL that may be shown; others hold passwords, too."""

HOST: Final = re.compile(r"(?:\[(?P<six>[^\]]+)\]|(?P<name>[^\[\]:]+))(?::(?P<port>\d+))?")


def parse_url(url: str) -> URL:
    """The URL of a database that we can use, with its driver. Raises ConfigError for any other."""
    parsed = _set_driver(_make_url(url))
    if parsed.drivername not in ("sqlite", "sqlite+pysqlite", "postgresql+psycopg"):
        raise ConfigError(
            f"database.url names {parsed.drivername!r}, which is not supported", FORMS
        )
    if parsed.get_backend_name() == "sqlite":
        _check_file(parsed, url)
    return parsed


def find_sqlite_file(url: str) -> Path | None:
    """The file of a SQLite database; None for another one. Raises ConfigError."""
    parsed = parse_url(url)
    return Path(parsed.database or "") if parsed.get_backend_name() == "sqlite" else None


def split_pgbouncer(url: URL) -> tuple[bool, URL]:
    """Whether the URL says `pgbouncer=true`, and the URL without that word."""
    said = str(url.query.get("pgbouncer", "false")).lower()
    if said not in ("true", "false"):
        raise ConfigError(
            f"database.url: pgbouncer is {said!r}", "use pgbouncer=true or leave it out"
        )
    return said == "true", url.difference_update_query(["pgbouncer"])


def mask_password(url: str) -> str:
    """The URL as it may be shown: without its password."""
    try:
        parsed = _make_url(url)
        hidden = parsed.difference_update_query(set(parsed.query) - SHOWN)
        return hidden.render_as_string(hide_password=True)
    except ConfigError:
        return "(unreadable database.url)"


def _check_file(parsed: URL, url: str) -> None:
    if not FILE.match(url):
        raise ConfigError("database.url names a host, and SQLite has none", FORMS)
    if "?" in url:
        hint = "there are no options; a ? of the file's name is written %3F"
        raise ConfigError("database.url has a ? in its file's name", hint)
    if parsed.database in (None, "", ":memory:"):
        raise ConfigError("database.url needs a file for SQLite", FORMS)


def _make_url(url: str) -> URL:
    if not FILE.match(url) and is_ambiguous(url):
        hint = f"{HOW_TO_ENCODE}; or leave the password out and use PGPASSFILE"
        raise ConfigError("database.url can be read in several ways", hint)
    several = SEVERAL.fullmatch(url)
    try:
        if several is None:
            return make_url(url)
        made = make_url(several["head"] + several["rest"])
        return made.update_query_dict(_split_hosts(several["hosts"]))
    except (ArgumentError, ValueError):
        raise ConfigError("database.url is not a database URL", FORMS) from None


def _set_driver(url: URL) -> URL:
    if url.drivername in ("postgres", "postgresql"):
        return url.set(drivername="postgresql+psycopg")
    return url


def _split_hosts(text: str) -> dict[str, str]:
    """Hosts and ports in libpq's form; a host without a port has PostgreSQL's own."""
    found = [HOST.fullmatch(part) for part in text.split(",")]
    if None in found:
        raise ValueError(text)
    pairs = [(one["six"] or one["name"], one["port"] or "5432") for one in found if one]
    return {"host": ",".join(h for h, _ in pairs), "port": ",".join(p for _, p in pairs)}
