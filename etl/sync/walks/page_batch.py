"""From the pages that have arrived to what one transaction saves: rows and checkpoint. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from etl.planning.coverage import Coverage, add, compact, drop_cursors, withdraw
from etl.planning.demand import Demand, bound_watermark
from etl.planning.run_demand import AgentState
from etl.planning.walks.hints import Hints
from etl.planning.walks.walk import Walk
from etl.store.store import Batch
from etl.store.write.responses import Response
from etl.sync.walks.one_walk import Arrival


@dataclass(slots=True)
class PageBatcher:
    """Puts pages together. What it knows of bookmarks follows a save, by `note_saved`."""

    state: AgentState
    """What is stored of the agent; its coverage follows each save."""
    demand: Demand
    started_at: datetime
    """When the run began: what is proven since then merges."""
    lookback: timedelta
    """How far below the watermark must be proven anew before it moves."""
    hints: Hints
    """Which cursors are dead."""
    has_stored: bool = True
    """Whether any session is stored that could be missing."""
    _last_bookmarks: dict[Walk, datetime] = field(default_factory=dict)
    """The instant of each walk's last bookmark that is saved."""
    _dropped_at: datetime | None = None
    """Up to when the stored cursors of this agent have been dropped as dead."""

    def make(self, arrivals: Sequence[Arrival]) -> Batch:
        """What these pages change."""
        batch, coverage, marks = Batch(), self.state.coverage, dict(self._last_bookmarks)
        for arrival in arrivals:
            batch.counts.add(arrival.counts)
            if arrival.fetched is not None:
                batch.responses.append(make_response(arrival))
                batch.last_cursor = arrival.next_cursor or batch.last_cursor
            coverage = self._add_step(batch, arrival, coverage)
            if (mark := arrival.step.bookmark) is not None:
                batch.bookmarks.append((mark, marks.get(arrival.walk)))
                marks[arrival.walk] = mark.at
        batch.drops_bookmarks = self._has_dead()
        if self.hints.expired_before is not None:
            coverage = drop_cursors(coverage, self.hints.is_alive)
        batch.coverage = compact(coverage, self.demand.started_at)
        batch.watermark_bound = bound_watermark(
            batch.coverage, self.demand, self.state.floor, self.state.watermark, self.lookback
        )
        return batch

    def note_saved(self, arrivals: Iterable[Arrival], batch: Batch) -> None:
        """A batch is committed: what was not saved must not be claimed by the next one."""
        assert batch.coverage is not None
        self.state.coverage = batch.coverage
        self._last_bookmarks |= {a.walk: a.step.bookmark.at for a in arrivals if a.step.bookmark}
        if batch.drops_bookmarks:
            self._dropped_at = self.hints.expired_before

    def _has_dead(self) -> bool:
        dead = self.hints.expired_before
        return dead is not None and (self._dropped_at is None or self._dropped_at < dead)

    def _add_step(self, batch: Batch, arrival: Arrival, coverage: Coverage) -> Coverage:
        step = arrival.step
        if step.absence is not None and self.has_stored:
            batch.absences.append(step.absence)
        if step.undated is not None and self.has_stored:
            batch.undated = step.undated
        if step.withdrawn is not None:
            coverage = withdraw(coverage, step.withdrawn)
        return add(coverage, step.proven, self.started_at) if step.proven else coverage


def make_response(arrival: Arrival) -> Response:
    """The records of a page; only the list's head tells the agent's name as it is now."""
    assert arrival.fetched is not None
    page, requested_at = arrival.fetched
    name = page.agent_name if arrival.is_head else None
    return Response(page.sessions, page.creators, page.rejected, requested_at, name)
