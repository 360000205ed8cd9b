"""docs/configuration.md lists every key with its true default, and no other."""

import json
import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec

from etl.config import Agent, Names, Settings, parse_duration

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")


def rows(text: str) -> dict[str, str]:
    return dict(re.findall(r"^\| `(\[.+?)` \| `?(.+?)`? \|", text, re.MULTILINE))


def keys(table: type, name: str) -> Iterator[tuple[str, Any]]:
    """Every key of a table and of the tables in it, with its default."""
    for field in msgspec.structs.fields(table):
        path = f"{name}.{field.name}".lstrip(".")
        is_table = isinstance(field.type, type) and issubclass(field.type, msgspec.Struct)
        if is_table:
            yield from keys(field.type, path)
        elif path != "agents":
            yield f"[{name}] {field.name}", default_of(field)


def default_of(field: msgspec.structs.FieldInfo) -> Any:
    made = field.default_factory
    return field.default if made is msgspec.NODEFAULT else made()


def is_default(text: str, default: Any) -> bool:
    if default is None:
        return text == "unset"
    if isinstance(default, timedelta):
        return parse_duration(text) == default
    if isinstance(default, Names):
        return text == json.dumps(list(default))
    return text == (str(default).lower() if isinstance(default, bool) else str(default))


def test_the_page_has_every_key_with_its_default() -> None:
    listed, known = rows(PAGE), dict(keys(Settings, ""))
    agents = {f"[[agents]] {field.name}" for field in msgspec.structs.fields(Agent)}

    assert listed.keys() == known.keys() | agents
    assert [key for key in known if not is_default(listed[key], known[key])] == []


def test_the_defaults_that_the_readme_names_are_true() -> None:
    listed = rows((ROOT / "README.md").read_text(encoding="utf-8"))
    known = dict(keys(Settings, ""))

    assert listed
    assert [k for k, text in listed.items() if not is_default(text.strip('"'), known[k])] == []
