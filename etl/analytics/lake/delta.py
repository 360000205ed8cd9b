"""One Delta table: which files it has, what was carried over last, and one commit a change.

Files are written first and are nobody's until a commit names them, so a killed run changes
nothing. A commit succeeds only on the version that was read: of two writers one fails.
"""

import re
import time
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import msgspec
import pyarrow as pa
import pyarrow.fs
from deltalake import CommitProperties, DeltaTable, Schema
from deltalake.fs import DeltaStorageHandler
from deltalake.transaction import AddAction, RemoveAction, create_table_with_add_actions

from etl.analytics.lake.tables import MONTH, LakeTable
from etl.errors import EtlError

PROGRAM: Final = "gumloop-etl"
OWNER: Final = re.compile(rf"{PROGRAM}, database ([0-9a-f-]{{36}})")
OURS: Final = re.compile(r"(month=[^/]+/)?etl-[0-9a-f]{32}\.parquet|_delta_log(/.*)?")
RECENT_COMMITS: Final = 10

READERS_GRACE: Final = 24
"""Hours that files which a change has replaced stay, for queries that began before it."""


class State(msgspec.Struct, frozen=True):
    """What a commit's metadata says about the table.

    `erased` is the version that last deleted rows, `purged` the one up to which files that no
    version needs any more were removed, `mark` tells what had been forgotten by then.
    """

    database: str
    as_of: str = ""
    mark: str = ""
    erased: int = 0
    purged: int = -1


class DataFile(NamedTuple):
    """A file of the table; `month` is empty if the table has no partitions."""

    path: str
    month: str
    rows: int
    size: int


class DeltaFolder:
    """A table at an address, as it was when it was opened or last committed.

    Raises EtlError if something else is in its place.
    """

    def __init__(self, uri: str, table: LakeTable) -> None:
        self.uri = uri
        self._table = table
        self.filesystem = pa.fs.PyFileSystem(DeltaStorageHandler(uri))
        self._delta = DeltaTable(uri) if DeltaTable.is_deltatable(uri) else None
        self.state = self._read_state() if self.exists else None
        if not self.exists:
            self._check_free()

    @property
    def exists(self) -> bool:
        """Whether there is a table."""
        return self._delta is not None

    @property
    def version(self) -> int:
        """The version that was opened or committed; -1 if there is no table."""
        return -1 if self._delta is None else self._delta.version()

    @property
    def has_other_columns(self) -> bool:
        """Whether the table is one of another release, whose columns or types differed."""
        return self._delta is not None and pa.schema(self._delta.schema()) != self._table.schema

    def list_files(self) -> list[DataFile]:
        """The files of this version."""
        if self._delta is None:
            return []
        found = pa.table(self._delta.get_add_actions(flatten=True)).to_pylist()
        return [
            DataFile(
                row["path"],
                row.get(f"partition.{MONTH}", ""),
                row["num_records"],
                row["size_bytes"],
            )
            for row in found
        ]

    def commit(self, added: Sequence[AddAction], removed: Sequence[DataFile], state: State) -> None:
        """Make these changes the next version. Raises CommitFailedError if there is one already."""
        properties = CommitProperties({PROGRAM: msgspec.to_builtins(state)}, max_commit_retries=0)
        schema = Schema.from_arrow(self._table.schema)
        if self._delta is None:
            self._create_table(added, schema, state, properties)
        else:
            mode = "overwrite" if self.has_other_columns else "append"
            gone = [] if mode == "overwrite" else [_make_removal(file) for file in removed]
            self._delta.create_write_transaction(
                [*added, *gone], mode, schema, self._partitions, commit_properties=properties
            )
        self._delta = DeltaTable(self.uri)
        self.state = state

    def _create_table(
        self, added: Sequence[AddAction], schema: Schema, state: State, properties: CommitProperties
    ) -> None:
        names = self._table.names
        harmless = next(name for name in ("created_at", "updated_at", names[-1]) if name in names)
        create_table_with_add_actions(
            self.uri,
            schema,
            list(added),
            mode="error",
            partition_by=self._partitions,
            name=self._table.name,
            description=f"{PROGRAM}, database {state.database}",
            # Statistics stand in the log, which outlives the files: they must not name people.
            configuration={"delta.dataSkippingStatsColumns": harmless},
            commit_properties=properties,
        )

    def purge(self) -> None:
        """Remove every file that this version doesn't need, of killed runs too."""
        self._vacuum(0)

    def tidy(self) -> None:
        """Remove the files that no version has needed for a day."""
        assert self._delta is not None
        if self._delta.vacuum(READERS_GRACE, True, False, full=True):
            self._vacuum(READERS_GRACE)

    def _vacuum(self, hours: int) -> None:
        assert self._delta is not None
        self._delta.vacuum(
            retention_hours=hours, dry_run=False, enforce_retention_duration=False, full=True
        )
        self._delta = DeltaTable(self.uri)

    @property
    def _partitions(self) -> list[str]:
        return [MONTH] if self._table.by_month else []

    def _read_state(self) -> State:
        """The newest state in the log; an old log names the owner alone.

        Raises EtlError if the table isn't one of ours.
        """
        assert self._delta is not None
        for limit in (RECENT_COMMITS, None):
            for commit in self._delta.history(limit):
                if PROGRAM in commit:
                    return msgspec.convert(commit[PROGRAM], State)
        owner = OWNER.search(self._delta.metadata().description or "")
        if owner is None:
            hint = "name an address of its own for the lake"
            raise EtlError(f"{self.uri} holds a Delta table that isn't ours", hint)
        return State(owner[1])

    def _check_free(self) -> None:
        """Raise EtlError for files that no killed first run left: a purge would remove them."""
        selector = pa.fs.FileSelector("", recursive=True, allow_not_found=True)
        for info in self.filesystem.get_file_info(selector):
            if info.type == pa.fs.FileType.File and not OURS.fullmatch(info.path.lstrip("/")):
                hint = "name an address of its own for the lake"
                raise EtlError(f"{self.uri} holds files that are no table of ours", hint)


def _make_removal(file: DataFile) -> Any:
    month: dict[str, Any] = {MONTH: file.month} if file.month else {}
    now = int(time.time() * 1000)
    return RemoveAction(file.path, True, now, size=file.size, partition_values=month)
