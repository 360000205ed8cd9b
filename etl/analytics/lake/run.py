"""One run: carry over, and note in the database how far the lake is."""

from collections.abc import Callable

from etl.analytics.lake.carry import LakeReport, carry
from etl.analytics.lake.lock import LakeBusy
from etl.errors import EtlError
from etl.models import Progress
from etl.store.lakes import save_lake_failure, save_lake_success
from etl.store.store import Store
from etl.urls import lake_address


def update_lake(
    store: Store,
    target: str,
    *,
    take_over: bool = False,
    on_progress: Callable[[Progress], None] = lambda _: None,
) -> LakeReport:
    """Make the lake equal to the store's database. Raises what `carry` raises."""
    target = lake_address(target)
    try:
        report = carry(store.url, target, store.now, take_over=take_over, on_progress=on_progress)
    except LakeBusy:
        raise
    except EtlError as error:
        save_lake_failure(store, target, str(error))
        raise
    save_lake_success(store, target, report.as_of)
    return report
