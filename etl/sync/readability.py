"""The verdict on a run that could not read much of what the API sent."""

from etl.errors import CutShort
from etl.invocation import program_name
from etl.models import Counts
from etl.planning.drift import WHOLE, has_drifted, name_fields
from etl.store.read.unread import load_unread
from etl.store.runs.runs import drop_demand
from etl.store.store import Store
from etl.store.write.responses import Run


def require_readable(store: Store, run: Run, counts: Counts) -> None:
    """Raise CutShort if more than 20 and a tenth of the records that a run saw were not read whole.

    What could be read is stored all the same.
    """
    seen = counts.seen - counts.repeated
    if not has_drifted(counts.rejected + counts.partial, seen):
        return
    with store.connect() as connection:
        # Each session once, however often the run met it. Records without an id are all counted.
        partial = load_unread(connection, run.agent_id, run.id)
    unread = partial.partial + counts.rejected
    if not has_drifted(unread, seen):
        return
    # The walk is whole: a later reconcile must not go on from its end, but read it all again.
    drop_demand(store, run)
    fields = partial.fields | ({WHOLE: counts.rejected} if counts.rejected else {})
    raise CutShort(
        f"{unread} of {seen} records could not be read whole: {name_fields(fields)}",
        "has the API changed? what could be read is stored, this is noted in rejected_records; "
        f"when a newer version reads it, `{program_name()} reconcile` settles it",
    )
