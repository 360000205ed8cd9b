"""One month of a table: what differs there, and the files that make it right."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import count
from operator import itemgetter
from typing import Final

from deltalake.transaction import AddAction
from pyarrow.fs import PyFileSystem

from etl.analytics.lake.compare import LakeRow, compare
from etl.analytics.lake.delta import DataFile
from etl.analytics.lake.files import MonthWriter, index_rows, read_index
from etl.analytics.lake.source import SourceRow
from etl.analytics.lake.tables import LakeTable

MOST_FILES: Final = 8
"""So many files a month stay side by side; then the small ones are written together anew."""

SMALL_FILE: Final = 64 << 20
FIRST: Final = itemgetter(0)


@dataclass(slots=True)
class TableChanges:
    """What becomes of a table: files to add and to remove, and how many rows are affected."""

    added: list[AddAction] = field(default_factory=list)
    removed: list[DataFile] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)

    def __bool__(self) -> bool:
        return bool(self.added or self.removed)


def change_month(
    filesystem: PyFileSystem,
    table: LakeTable,
    month: str,
    files: Sequence[DataFile],
    rows: Iterator[SourceRow],
    changes: TableChanges,
) -> None:
    """Compare a month's rows with its files, and write what takes the place of files that differ.

    A file is written anew without its stale rows, together with the rows that are new.
    """
    index, lost = read_index(filesystem, files, table)
    writer = MonthWriter(filesystem, table, month)
    stale = _write_changes(rows, index_rows(index, table), writer, changes.counts)
    del index
    left = [number for number in range(len(files)) if number not in lost]
    differs = bool(stale or lost or writer.has_rows)
    crowded = differs and len(left) >= MOST_FILES
    for number in left:
        if number in stale or (crowded and files[number].size < SMALL_FILE):
            if len(stale[number]) < files[number].rows:
                writer.copy_file(files[number], stale[number])
            lost.add(number)
    writer.close()
    changes.counts["unfit"] += writer.unfit
    changes.added += writer.added
    changes.removed += [files[number] for number in sorted(lost)]


def _write_changes(
    rows: Iterator[SourceRow], lake: Iterator[LakeRow], writer: MonthWriter, counts: Counter[str]
) -> defaultdict[int, set[int]]:
    """Write the rows that are new or changed; which rows of which files are stale by that."""
    stale: defaultdict[int, set[int]] = defaultdict(set)
    # Rows are counted in C as they pass: a generator would cost time for each.
    numbers = count()
    counted: Iterator[SourceRow] = map(FIRST, zip(rows, numbers, strict=False))
    for change in compare(counted, lake):
        counts[change.kind] += 1
        for _, _, file, row in change.stale:
            stale[file].add(row)
        if change.row is not None:
            writer.write_row(change.row)
    counts["rows"] += next(numbers)
    return stale
