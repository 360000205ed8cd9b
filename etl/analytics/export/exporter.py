"""Tables and views of one snapshot to a folder of files."""

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection

from etl.analytics import schema_docs
from etl.analytics.export import folder as folders
from etl.analytics.export import snapshot as reading
from etl.analytics.export.files import Format, TableFile, make_schema
from etl.analytics.export.rules import CHANGES, NO_PARTITION, choose_since, name_folders, to_month
from etl.analytics.export.snapshot import Since
from etl.analytics.meter import RowMeter
from etl.analytics.schema_docs import Relation, SchemaPage
from etl.errors import ConfigError
from etl.models import Progress
from etl.store.batched import batched
from etl.store.schema import migrate
from etl.wording import suggest

PARTITIONED: Final = "sessions"
PARTITIONED_BY: Final = ("agent_id", "created_at")
EMPTY_FOLDER: Final = (f"agent={NO_PARTITION}", f"month={NO_PARTITION}")
CHUNK_ROWS: Final = 256


class ExportOptions(NamedTuple):
    """What to export, and how."""

    output: Path
    format: Format = "parquet"
    tables: Sequence[str] = ()
    since_run: int | None = None
    raw: bool = False


def export(
    url: str,
    options: ExportOptions,
    now: datetime,
    on_progress: Callable[[Progress], None] = lambda _: None,
) -> dict[str, Any]:
    """Export, and return the manifest.

    Raises ConfigError for an unknown table or run and an unusable folder, StoreError, and EtlError
    if the files can't be written.
    """
    page, first = schema_docs.read(), options.since_run
    chosen = _select_tables(page, options.tables)
    with reading.open_snapshot(url) as connection:
        since = None if first is None else reading.find_since(connection, first)
        _check_replaceable(options)
        with folders.replace_folder(options.output, page.relations) as partial:
            meter = RowMeter("export", on_progress, len(chosen))
            tables = []
            for relation in chosen:
                rows, files = _Table(relation, options, partial, since, meter).write(connection)
                whole = since is None or relation.name not in CHANGES
                tables.append({"name": relation.name, "whole": whole, "rows": rows, "files": files})
                meter.tables_done += 1
            meter.add(0)
            seen = reading.read_runs(connection)
            manifest = {
                "schema": migrate.HEAD,
                "exported_at": now.isoformat().replace("+00:00", "Z"),
                "format": options.format,
                "raw": options.raw,
                "since_run": first,
                "highest_run_id": max(seen.newest, default=None),
                "next_since_run": choose_since(*seen),
                "tables": tables,
            }
            return folders.put_manifest(partial, manifest)


def _select_tables(page: SchemaPage, names: Sequence[str]) -> list[Relation]:
    public = [relation for relation in page.relations.values() if relation.public]
    if not names:
        return public
    for name in names:
        if name not in page.relations:
            close = suggest(name, page.relations)
            hint = f"did you mean {close}?" if close else f"there are {', '.join(page.relations)}"
            raise ConfigError(f"there is no table or view {name!r:.80}", hint)
    return [page.relations[name] for name in dict.fromkeys(names)]


def _check_replaceable(options: ExportOptions) -> None:
    """Raise ConfigError where a few new rows would replace an export that holds more."""
    before = folders.read_manifest(options.output)
    if before is None or options.since_run is None:
        return
    begun = before.get("since_run")
    if begun is None or begun < options.since_run:
        hint = "an incremental export needs a folder of its own: name a new one by --output"
        raise ConfigError(f"{options.output} holds an export that this one does not contain", hint)


@dataclass(slots=True)
class _Table:
    """One table or view on its way to its files."""

    relation: Relation
    options: ExportOptions
    folder: Path
    since: Since | None
    meter: RowMeter

    def write(self, connection: Connection) -> tuple[int, int]:
        """Write every row that is wanted. Returns the numbers of rows and of files."""
        partitioned = self.options.format == "parquet" and self.relation.name == PARTITIONED
        order = PARTITIONED_BY if partitioned else ()
        changed = CHANGES.get(self.relation.name, ())
        rows = reading.read_rows(connection, self.relation, order, changed, self.since)
        if partitioned:
            return self._write_partitions(rows)
        path = self.folder / f"{self.relation.name}.{self.options.format}"
        return self._write_file(path, rows), 1

    def _write_partitions(self, chunks: Iterator[Sequence[Any]]) -> tuple[int, int]:
        """A file for each agent and month; the rows come in that order."""
        names = [column.name for column in self.relation.columns]
        agent, created = (names.index(name) for name in PARTITIONED_BY)
        rows = itertools.chain.from_iterable(chunks)
        total = files = 0
        for key, group in itertools.groupby(rows, lambda row: (row[agent], to_month(row[created]))):
            # Numbered across the table: on a file system that ignores case, two agents may share
            # a folder, but not a file.
            files += 1
            total += self._write_part(name_folders(*key), files, group)
        return (total, files) if files else (self._write_part(EMPTY_FOLDER, 1, ()), 1)

    def _write_part(self, parts: tuple[str, str], number: int, rows: Iterable[Any]) -> int:
        place = self.folder.joinpath(self.relation.name, *parts)
        place.mkdir(parents=True, exist_ok=True)
        return self._write_file(place / f"part-{number:05}.parquet", batched(rows, CHUNK_ROWS))

    def _write_file(self, path: Path, chunks: Iterable[Sequence[Any]]) -> int:
        schema = make_schema(self.relation.columns)
        with TableFile(path, schema, self.options.format, raw=self.options.raw) as file:
            for chunk in chunks:
                file.write(chunk)
                self.meter.add(len(chunk))
        return file.rows
