"""The names that a configuration may hold, and the words for a wrong one or a wrong value."""

from collections.abc import Iterable
from typing import Any, get_args

import msgspec

from etl.errors import ConfigError
from etl.wording import suggest

__all__ = ["check_names", "in_words"]

PLAIN = {
    "`int`": "an integer",
    "`str`": "a string",
    "`float`": "a number",
    "`object`": "a table",
    "`array`": "a list",
    "`bool`": "true or false",
}


def check_names(tables: dict[str, Any], whole: type, source: str) -> None:
    """Raise ConfigError for a table or a key that the struct `whole` doesn't have."""
    known = _fields(whole)
    # Of tables with the same key, the first one is meant: [schedule] every, not that of [lake].
    homes = {key: table for table in reversed(known) for key in _fields(known[table])}
    for table, keys in tables.items():
        if table not in known:
            home = f"[{homes[table]}] {table}" if table in homes else None
            raise _unknown(source, f"[{table}]", suggest(table, known) or home, known)
        for row in keys if isinstance(keys, list) else [keys]:
            _check_keys(row, _item(known[table]), source, table, homes)


def in_words(message: str, whole: type) -> str:
    """Msgspec's sentence in words of TOML: `api.page_size: expected ...`."""
    text, _, path = message.partition(" - at `$")
    for python, plain in PLAIN.items():
        text = text.replace(python, plain)
    key = path.strip("`").lstrip(".")
    if text.startswith("Invalid enum value "):
        allowed = ", ".join(f'"{value}"' for value in get_args(_kind_at(key, whole)))
        text = f"expected one of {allowed}, got {text.removeprefix('Invalid enum value ')}"
    return f"{key}: {text[0].lower()}{text[1:]}" if key else text


def _check_keys(row: Any, kind: Any, source: str, table: str, homes: dict[str, str]) -> None:
    known = _fields(kind)
    for key in row if isinstance(row, dict) else ():
        if key not in known:
            home = f"[{homes[key]}] {key}" if key in homes else None
            raise _unknown(source, f"{table}.{key}", suggest(key, known) or home, known)
        if _fields(known[key]):
            _check_keys(row[key], known[key], source, f"{table}.{key}", homes)


def _unknown(source: str, shown: str, close: str | None, known: Iterable[str]) -> ConfigError:
    hint = f"did you mean {close}?" if close else f"known here: {', '.join(known)}"
    return ConfigError(f"{source}: unknown key {shown}", hint)


def _fields(kind: Any) -> dict[str, Any]:
    """The keys of a table with their types; none of what is no table."""
    is_table = hasattr(kind, "__struct_fields__")
    return {field.name: field.type for field in msgspec.structs.fields(kind)} if is_table else {}


def _item(kind: Any) -> Any:
    """What a list of tables holds; any other type is itself."""
    return get_args(kind)[0] if get_args(kind) else kind


def _kind_at(key: str, whole: Any) -> Any:
    """The type of `table.key`."""
    for name in key.split("."):
        whole = _fields(whole)[name]
    return whole
