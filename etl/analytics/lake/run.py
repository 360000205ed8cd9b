"""One run: a lake is made equal to the database, table by table, one commit each.

Every row of one snapshot is compared with the lake's by its key and a digest. That costs a look
at all of them, and trusts nothing else: no clock, no earlier run, no order of commits. So a run
after a crash, a restored backup or a change by hand does nothing special.
"""

import contextlib
import itertools
from collections import defaultdict
from collections.abc import Callable
from datetime import datetime
from hashlib import blake2b
from operator import attrgetter
from typing import NamedTuple

from deltalake import DeltaTable
from sqlalchemy import Connection, func, select

from etl.analytics.export.snapshot import open_snapshot
from etl.analytics.lake.compare import Unsorted
from etl.analytics.lake.delta import DataFile, DeltaFolder, State
from etl.analytics.lake.lock import LakeBusy, lock_file, lock_server
from etl.analytics.lake.month import TableChanges, change_month
from etl.analytics.lake.source import stream_rows
from etl.analytics.lake.tables import LakeTable, list_lake_tables
from etl.analytics.lake.target import locate_table, make_folder, translate_lake_errors
from etl.analytics.meter import RowMeter
from etl.errors import ConfigError, EtlError
from etl.models import Progress
from etl.store.lakes import save_lake_failure, save_lake_success
from etl.store.schema import tables as t
from etl.store.store import Store
from etl.urls import normalize_address


class TableReport(NamedTuple):
    """What became of a table. `rows` are all of the database's, `unfit` credits became null."""

    name: str
    rows: int
    inserted: int
    updated: int
    deleted: int
    files: int
    unfit: int
    version: int


class LakeReport(NamedTuple):
    """A lake that shows the database as it was at an instant."""

    target: str
    as_of: datetime
    tables: list[TableReport]


class Origin(NamedTuple):
    """The database: its id, the time of the snapshot, and a mark of what has been forgotten."""

    database: str
    as_of: str
    mark: str


def update_lake(
    store: Store,
    target: str,
    *,
    take_over: bool = False,
    on_progress: Callable[[Progress], None] = lambda _: None,
) -> LakeReport:
    """Carry over, and note in the database how far the lake is. Raises what `carry` raises."""
    target = normalize_address(target)
    try:
        report = carry(store.url, target, store.now, take_over=take_over, on_progress=on_progress)
    except LakeBusy:
        raise
    except EtlError as error:
        save_lake_failure(store, target, str(error))
        raise
    save_lake_success(store, target, report.as_of)
    return report


def carry(
    url: str,
    target: str,
    now: Callable[[], datetime],
    *,
    take_over: bool = False,
    on_progress: Callable[[Progress], None] = lambda _: None,
) -> LakeReport:
    """Make the lake at an address equal to the database.

    With `take_over`, a lake that another database has fed becomes this one's. Raises LakeBusy if
    another process is at it, EtlError if the lake can't be used or isn't ours, StoreError.
    """
    tables = list_lake_tables()
    with lock_file(url), open_snapshot(url) as connection:
        lock_server(connection)
        as_of = now()
        origin = _read_origin(connection, as_of)
        meter = RowMeter("lake", on_progress, len(tables))
        reports = []
        for table in tables:
            uri = locate_table(target, table.name)
            with translate_lake_errors(f"the table {uri}"):
                if _is_wanted(connection, table, uri):
                    make_folder(uri)
                    folder = DeltaFolder(uri, table)
                    _check_owner(folder, origin, take_over=take_over)
                    reports.append(_carry_table(connection, folder, table, origin, meter))
            meter.tables_done += 1
        return LakeReport(target, as_of, reports)


def _read_origin(connection: Connection, as_of: datetime) -> Origin:
    database = connection.execute(select(t.database_identity.c.uuid)).scalar_one()
    rules = connection.execute(select(t.privacy.c.rules)).scalar_one()
    gone = t.forgotten.c
    people = connection.execute(select(func.count(), func.max(gone.forgotten_at))).one()
    sessions = connection.execute(select(func.count()).select_from(t.forgotten_sessions)).scalar()
    text = repr((rules, tuple(people), sessions)).encode()
    return Origin(database, as_of.isoformat(), blake2b(text, digest_size=8).hexdigest())


def _check_owner(folder: DeltaFolder, origin: Origin, *, take_over: bool) -> None:
    if folder.state is not None and folder.state.database != origin.database and not take_over:
        hint = (
            "one lake, one database: name another address; if this database has taken the other's"
            " place, --take-over makes the lake this one's"
        )
        raise ConfigError(f"{folder.uri} is fed by another database", hint)


def _is_wanted(connection: Connection, table: LakeTable, uri: str) -> bool:
    """Whether there is to be such a table: messages only once some are stored."""
    if not table.is_optional or DeltaTable.is_deltatable(uri):
        return True
    found = connection.exec_driver_sql(f"SELECT 1 FROM {table.name} LIMIT 1").first()
    return found is not None


def _carry_table(
    connection: Connection, folder: DeltaFolder, table: LakeTable, origin: Origin, meter: RowMeter
) -> TableReport:
    try:
        changes = _find_changes(connection, folder, table, meter)
    except Unsorted:
        hint = "this is a bug: please report it, with the database's version and collation"
        raise EtlError(f"the rows of {table.name} don't come in order", hint) from None
    state = folder.state or State(origin.database)
    if changes or not folder.exists or state.database != origin.database:
        erased = folder.version + 1 if changes.counts["deleted"] else state.erased
        state = State(origin.database, origin.as_of, state.mark, erased, state.purged)
        folder.commit(changes.added, changes.removed, state)
    _clear_away(folder, origin)
    count = changes.counts
    return TableReport(
        table.name,
        count["rows"],
        count["inserted"],
        count["updated"],
        count["deleted"],
        len(folder.list_files()),
        count["unfit"],
        folder.version,
    )


def _find_changes(
    connection: Connection, folder: DeltaFolder, table: LakeTable, meter: RowMeter
) -> TableChanges:
    """Compare month by month, as the database gives them; the lake's own come last."""
    changes, filesystem = TableChanges(), folder.filesystem
    files: defaultdict[str, list[DataFile]] = defaultdict(list)
    if not folder.has_other_columns:
        for file in folder.list_files():
            files[file.month].append(file)
    # Closed here and now: after an interrupt the connection is closed before the garbage is.
    with contextlib.closing(stream_rows(connection, table)) as rows:
        for month, group in itertools.groupby(rows, attrgetter("month")):
            before = changes.counts["rows"]
            change_month(filesystem, table, month, files.pop(month, ()), group, changes)
            meter.add(changes.counts["rows"] - before)
    for month, left in files.items():
        change_month(filesystem, table, month, left, iter(()), changes)
    return changes


def _clear_away(folder: DeltaFolder, origin: Origin) -> None:
    """Remove old files: at once where something was erased, else a day after their time."""
    state = folder.state
    assert state is not None
    if state.erased <= state.purged and state.mark == origin.mark:
        folder.tidy()
        return
    version = folder.version
    folder.purge()
    purged = State(origin.database, state.as_of, origin.mark, state.erased, version)
    folder.commit([], [], purged)
