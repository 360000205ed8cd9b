"""How far an export or a lake has come."""

from collections.abc import Callable
from dataclasses import dataclass

from etl.models import Progress


@dataclass(slots=True)
class RowMeter:
    """Reports how many rows are done, of all tables; the share is that of the tables."""

    work: str
    on_progress: Callable[[Progress], None]
    tables: int
    tables_done: int = 0
    rows: int = 0

    def add(self, rows: int) -> None:
        """Count rows, and report."""
        self.rows += rows
        share = self.tables_done / self.tables
        self.on_progress(Progress(self.work, "rows", self.rows, share))
