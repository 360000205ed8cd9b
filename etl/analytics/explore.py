"""The database in a browser: Datasette, read-only, in the words of docs/schema.md.

Datasette opens the file with `mode=ro` and reads in short transactions, so it stands beside a
running sync. `immutable` would be faster and wrong: the file changes.
"""

import json
import re
import sys
from collections.abc import Awaitable
from pathlib import Path
from socket import socket
from typing import Any, Final

import uvicorn
from datasette import Response, hookimpl
from datasette.app import Datasette
from datasette.plugins import pm
from markupsafe import Markup

from etl.analytics.schema_docs import Relation, SchemaPage

LABEL_COLUMNS: Final = {"agents": "name", "creators": "email", "sessions": "name"}
"""The column that stands for a row where another table refers to it; creators have more."""

CREATOR_NAMES: Final = """
SELECT id, coalesce(
    nullif(trim(coalesce(first_name, '') || ' ' || coalesce(last_name, '')), ''), email
) FROM creators WHERE id IN (SELECT value FROM json_each(:ids))
"""
UNIT_IN_WORDS: Final = re.compile(r"\bin (credits|tokens|seconds)\b")
QUERY_MILLISECONDS: Final = 10_000
"""How long a query may take: those over all sessions need more than Datasette's second."""


# Datasette and its hooks have no types: hence the marks.
class Explorer(Datasette):  # type: ignore[misc]
    """Datasette that shows creators by their full names, and keeps what it reads to itself."""

    async def execute(self, *args: Any, **options: Any) -> Any:
        """Run a query; if it fails, neither it nor its values go to the terminal."""
        return await super().execute(*args, **options | {"log_sql_errors": False})

    async def expand_foreign_keys(
        self, database: str, table: str, column: str, values: list[Any]
    ) -> dict[tuple[str, Any], Any]:
        """A label for each value; the value itself where there is no name."""
        labels = await super().expand_foreign_keys(database, table, column, values)
        if column == "creator_id":
            ids = json.dumps(list(set(values)))
            found = await self.execute(database, CREATOR_NAMES, {"ids": ids})
            labels = {(column, id): name for id, name in found}
        return {key: label or key[1] for key, label in labels.items()}


@hookimpl  # type: ignore[untyped-decorator]
def render_cell(value: Any, column: str, table: str, database: str, datasette: Any) -> str | None:
    """A number with its unit, exact: Datasette's own way would write 0.5 credits as 500 m."""
    unit = datasette.table_metadata(database, table).get("units", {}).get(column)
    return f"{value} {unit}" if unit and value is not None else None


@hookimpl  # type: ignore[untyped-decorator]
def handle_exception(datasette: Any, request: Any, exception: Exception) -> Awaitable[Response]:
    """The error, told in the browser: Datasette's own way prints all variables as well."""
    message: str = getattr(exception, "message", None) or str(exception)
    is_html = getattr(exception, "message_is_html", False)
    status: int = getattr(exception, "status", 500)
    details = {"title": getattr(exception, "title", None), "error": message, "status": status}

    async def answer() -> Response:
        if request.path.endswith(".json"):
            return Response.json({"ok": False} | details, status=status)
        details["error"] = Markup(message) if is_html else message  # noqa: S704 - Datasette's own
        templates = [f"{status}.html", "error.html"]
        page = await datasette.render_template(templates, details, request=request)
        return Response.html(page, status=status)

    return answer()


def make_explorer(file: Path, page: SchemaPage) -> Explorer:
    """The application for a SQLite file."""
    return Explorer(
        [str(file)],
        metadata=make_metadata(file, page),
        settings={"sql_time_limit_ms": QUERY_MILLISECONDS},
    )


def make_metadata(file: Path, page: SchemaPage) -> dict[str, Any]:
    """What Datasette shows beside the data, from docs/schema.md."""
    tables = {name: _describe_table(relation) for name, relation in page.relations.items()}
    tables["alembic_version"] = {"hidden": True}
    queries = {
        re.sub(r"\W+", "-", query.title.partition(". ")[2].lower()): {
            "title": query.title,
            "description": query.description,
            "sql": query.sql.rstrip("; \n"),
        }
        for query in page.queries
    }
    about = "Sessions of Gumloop agents. Times are UTC. Read-only; a sync may be running."
    return {
        "title": "gumloop-etl",
        "description": about,
        "custom_units": ["credits = [credit]", "tokens = [token]"],
        "databases": {file.stem: {"tables": tables, "queries": queries}},
    }


def serve(app: Explorer, listening: socket) -> None:
    """Answer requests until SIGINT or SIGTERM, then end what is under way and return."""
    pm.unregister(name="datasette.handle_exception")
    pm.register(sys.modules[__name__], __name__)
    config = uvicorn.Config(
        app.app(), log_level="warning", lifespan="on", timeout_graceful_shutdown=5
    )
    uvicorn.Server(config).run([listening])


def _describe_table(relation: Relation) -> dict[str, Any]:
    units = {column.name: UNIT_IN_WORDS.search(column.meaning) for column in relation.columns}
    table = {
        "title": relation.name,
        "description": relation.description,
        "columns": {column.name: column.meaning.replace("`", "") for column in relation.columns},
        "units": {name: found[1] for name, found in units.items() if found},
        "label_column": LABEL_COLUMNS.get(relation.name),
        "hidden": not relation.public,
    }
    return {key: value for key, value in table.items() if value}
