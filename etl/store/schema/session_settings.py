"""What PostgreSQL's sessions have set, whatever database, role and environment say. Pure.

Values are read as text in these forms, and the SQL of the migrations is written for them.
"""

import re
from collections.abc import Mapping
from typing import Final

from etl.errors import ConfigError

GUARDS: Final = {
    "idle_in_transaction_session_timeout": "30s",
    "lock_timeout": "30s",
    "statement_timeout": "60s",
}
"""A process that is frozen in a transaction holds its locks: the server ends that transaction after
a lease's time. Where its timeout doesn't apply (COPY), a process that has waited as long ends it,
see `lease.end_frozen`."""

NEEDED: Final = {
    "DateStyle": "ISO, MDY",
    "IntervalStyle": "postgres",
    "TimeZone": "UTC",
    "array_nulls": "on",
    "bytea_output": "hex",
    "client_min_messages": "notice",
    "extra_float_digits": "1",
    "gin_fuzzy_search_limit": "0",
    "standard_conforming_strings": "on",
    "transform_null_equals": "off",
}


def set_all(settings: Mapping[str, str], *, local: bool) -> str:
    """A statement that sets these for the session, or with `local` for the transaction."""
    scope = str(local).lower()
    calls = (f"set_config({_quote(k)}, {_quote(v)}, {scope})" for k, v in settings.items())
    return f"SELECT {', '.join(calls)}"


def format_options(settings: Mapping[str, str]) -> str:
    """Settings in the form of the `options` of a connection."""
    return " ".join(f"-c {name}={value}" for name, value in settings.items())


def read_options(text: str) -> dict[str, str]:
    """The settings in a connection's `options`, as the server reads it. Raises ConfigError."""
    words = (re.sub(r"\\(.)", r"\1", word) for word in re.findall(r"(?:\\.|[^\s\\])+", text))
    found = {}
    for word in words:
        name, equals, value = (word[2:] or next(words, "")).partition("=")
        if word[:2] not in ("-c", "--") or not equals:
            hint = "write `-c NAME=VALUE` in PGOPTIONS or in the options of database.url"
            raise ConfigError("through pgbouncer, options can only set parameters", hint)
        found[name.replace("-", "_")] = value
    return found


def _quote(text: str) -> str:
    """A literal that means the same under both settings of `standard_conforming_strings`."""
    escaped = text.replace("\\", "\\\\").replace("'", "''")
    return f"E'{escaped}'"
