"""docs/schema.md as data: what each table, view and column means, and the queries of the cookbook.

The page is the one place where these words and queries stand; a test compares it with the
databases and runs its queries. It lies in the project's `docs/`, in the wheel too.
"""

import re
from typing import Final, NamedTuple

from etl.invocation import find_resource

TICKED: Final = re.compile(r"`([^`]*)`")
SQL: Final = re.compile(r"^```sql\n(.+?)\n```$", re.MULTILINE | re.DOTALL)


class Column(NamedTuple):
    """A column; `type` is PostgreSQL's, which says more than SQLite's."""

    name: str
    type: str
    public: bool
    meaning: str


class Relation(NamedTuple):
    """A table or a view."""

    name: str
    description: str
    columns: tuple[Column, ...]

    @property
    def public(self) -> bool:
        """Whether others may rely on any of it."""
        return any(column.public for column in self.columns)


class Query(NamedTuple):
    """A question with its SQL, which runs on both databases."""

    title: str
    description: str
    sql: str


class SchemaPage(NamedTuple):
    """All of it, in the order of the page."""

    relations: dict[str, Relation]
    queries: tuple[Query, ...]


def read() -> SchemaPage:
    """The page as this version of the program has it."""
    return parse(find_resource("docs", "schema.md").read_text(encoding="utf-8"))


def parse(text: str) -> SchemaPage:
    """Take the page apart by its headings."""
    chapters = _split_sections(text, "##")
    relations = _parse_relations(chapters["Tables"]) | _parse_relations(chapters["Views"])
    queries = _split_sections(chapters["Cookbook"], "###").items()
    return SchemaPage(relations, tuple(_parse_query(title, body) for title, body in queries))


def _split_sections(text: str, level: str) -> dict[str, str]:
    parts = re.split(rf"^{level} (.+)$", text, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def _parse_relations(text: str) -> dict[str, Relation]:
    return {
        name: Relation(name, _join_prose(body.partition("\n|")[0]), _parse_columns(body))
        for name, body in _split_sections(text, "###").items()
    }


def _parse_columns(body: str) -> tuple[Column, ...]:
    """The rows `| name | SQLite | PostgreSQL | null | rely | meaning |` of a section."""
    lines = (line for line in body.splitlines() if line.startswith("| `"))
    rows = ([cell.strip() for cell in line.strip("| ").split(" | ", 5)] for line in lines)
    return tuple(
        Column(TICKED.sub(r"\1", name), type, rely == "yes", meaning)
        for name, _, type, _, rely, meaning in rows
    )


def _parse_query(title: str, body: str) -> Query:
    found = SQL.search(body)
    assert found is not None, f"docs/schema.md: {title} has no SQL"
    return Query(title, _join_prose(body[: found.start()]), found[1])


def _join_prose(text: str) -> str:
    """Running text in one line, without the marks of code."""
    return " ".join(TICKED.sub(r"\1", text).split())
