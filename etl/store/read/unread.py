"""Which fields could not be read of the records that are noted and not settled."""

from typing import Final

from sqlalchemy import Connection, case, func, select

from etl.models import STORED_WITHOUT
from etl.planning.drift import WHOLE, count_fields
from etl.store.schema import tables as t

_C: Final = t.rejected_records.c
IS_PARTIAL: Final = _C.reason.startswith(STORED_WITHOUT)


class Unread:
    """Of how many records something could not be read, and of how many each field."""

    def __init__(self, reasons: dict[str, int]) -> None:
        self.records = sum(reasons.values())
        self.fields = count_fields(reasons)
        self.rejected = self.fields.pop(WHOLE, 0)

    @property
    def partial(self) -> int:
        """Sessions that are stored without some of their fields."""
        return self.records - self.rejected


def load_unread(connection: Connection, agent_id: str, run_id: int | None = None) -> Unread:
    """An agent's unresolved records; with `run_id`, those that this run was the last to meet."""
    # Other reasons quote values, so each would be a group of its own.
    reason = case((IS_PARTIAL, _C.reason), else_="").label("why")
    query = select(reason, func.count()).where(_C.agent_id == agent_id, _C.resolved_at.is_(None))
    if run_id is not None:
        query = query.where(_C.run_id == run_id)
    rows = connection.execute(query.group_by("why")).all()
    return Unread({row[0]: row[1] for row in rows})
