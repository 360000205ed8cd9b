"""The names that a configuration may hold, and the words for a wrong one or a wrong value."""

import re
from collections.abc import Container, Iterable, Iterator
from typing import Any, Literal, get_args, get_origin

import msgspec

from etl.errors import ConfigError
from etl.wording import suggest

PLAIN = {
    " | null`": "`",
    "`int`": "an integer",
    "`str`": "a string",
    "`float`": "a number",
    "`object`": "a table",
    "`array`": "a list",
    "`bool`": "true or false",
}


WHOLE_NAMES = ("ETL_AGENTS", "ETL_CONFIG")
"""Variables that name no table and key."""

CLOSE = 0.85


def check_names(tables: dict[str, Any], whole: type, source: str) -> None:
    """Raise ConfigError for a table or a key that the struct `whole` doesn't have."""
    known = _list_fields(whole)
    # Of tables with the same key, the first one is meant: [schedule] every, not that of [lake].
    homes = {key: table for table in reversed(known) for key in _list_fields(known[table])}
    for table, keys in tables.items():
        if table not in known:
            home = f"[{homes[table]}] {table}" if table in homes else None
            raise _make_unknown_error(source, f"[{table}]", suggest(table, known) or home, known)
        for row in keys if isinstance(keys, list) else [keys]:
            _check_keys(row, _get_item_type(known[table]), source, table, homes)


def check_variable(name: str, environ: Container[str], whole: type) -> None:
    """Raise ConfigError for a variable that sets nothing, since its name is mistyped.

    Where the right one is set, too, this one is another program's.
    """
    for path in _list_paths(whole):
        right = "ETL_" + "__".join(path).upper()
        if name == "ETL_" + "_".join(path).upper() and right not in environ:
            raise ConfigError(f"{name} sets nothing", f"did you mean {right}?")
    close = suggest(name, WHOLE_NAMES, CLOSE)
    if close is not None and name not in WHOLE_NAMES and close not in environ:
        raise ConfigError(f"{name} sets nothing", f"did you mean {close}?")


def translate_message(message: str, whole: type) -> str:
    """Msgspec's sentence in words of TOML: `api.page_size: expected ...`."""
    text, _, path = message.partition(" - at `$")
    for python, plain in PLAIN.items():
        text = text.replace(python, plain)
    text = re.sub(r"^Object missing required field `(\w+)`", r"the key \1 is missing", text)
    key = path.strip("`").lstrip(".")
    if text.startswith("Invalid enum value "):
        allowed = list(_list_values(_find_type(key, whole)))
        wanted = f"one of {', '.join(allowed)}" if len(allowed) > 2 else " or ".join(allowed)
        text = f"expected {wanted}, got {text.removeprefix('Invalid enum value ')}"
    if text == "Expected a list, got a table":
        text += f"; write [[{key}]]"
    return f"{key}: {text[0].lower()}{text[1:]}" if key else text


def _check_keys(row: Any, kind: Any, source: str, table: str, homes: dict[str, str]) -> None:
    known = _list_fields(kind)
    for key in row if isinstance(row, dict) else ():
        if key not in known:
            home = f"[{homes[key]}] {key}" if key in homes else None
            raise _make_unknown_error(source, f"{table}.{key}", suggest(key, known) or home, known)
        if _list_fields(known[key]):
            _check_keys(row[key], known[key], source, f"{table}.{key}", homes)


def _make_unknown_error(
    source: str, shown: str, close: str | None, known: Iterable[str]
) -> ConfigError:
    hint = f"did you mean {close}?" if close else f"known here: {', '.join(known)}"
    return ConfigError(f"{source}: unknown key {shown}", hint)


def _list_fields(kind: Any) -> dict[str, Any]:
    """The keys of a table with their types; none of what is no table."""
    is_table = hasattr(kind, "__struct_fields__")
    return {field.name: field.type for field in msgspec.structs.fields(kind)} if is_table else {}


def _list_paths(kind: Any) -> Iterator[tuple[str, ...]]:
    """The keys of a table and of those within it, each with the tables that lead to it."""
    for name, inner in _list_fields(kind).items():
        below = list(_list_paths(inner))
        yield from ((name, *path) for path in below or [()])


def _get_item_type(kind: Any) -> Any:
    """What a list of tables holds; any other type is itself."""
    return get_args(kind)[0] if get_args(kind) else kind


def _list_values(kind: Any) -> Iterator[str]:
    """The values of a type, in words."""
    for one in get_args(kind):
        if get_origin(one) is Literal:
            yield from _list_values(one)
        else:
            yield f'"{one}"' if isinstance(one, str) else "a whole number above 0"


def _find_type(key: str, whole: Any) -> Any:
    """The type of `table.key`."""
    for name in key.split("."):
        whole = _list_fields(whole)[name]
    return whole
