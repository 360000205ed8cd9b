"""A spot check: retrieve stored sessions at random, repair what differs, say what that proves."""

from dataclasses import dataclass
from typing import Final

from etl.errors import CutShort, Malformed
from etl.planning.freshness import upper_bound
from etl.store.read.sessions import sample_ids
from etl.store.runs.runs import mark_missing
from etl.sync.retrieve import retrieve_all
from etl.sync.run_context import RunContext

CONFIDENCE: Final = 0.95


@dataclass(frozen=True, slots=True)
class SampleResult:
    """What a sample of one agent's sessions showed, of the fields that a retrieve has."""

    stored: int
    sampled: int
    wrong: int
    gone: int

    @property
    def bound(self) -> float:
        """With 95 % confidence, fewer than this share of the rows differ."""
        return upper_bound(self.wrong + self.gone, self.sampled, CONFIDENCE)


def verify_agent(context: RunContext, size: int) -> SampleResult:
    """Retrieve a random sample. Raises ApiError, StoreError; CutShort if too many are gone."""
    store, run = context.store, context.run
    with store.connect() as connection:
        stored, chosen = sample_ids(connection, run.agent_id, size)
    found = retrieve_all(context, chosen)
    gone = mark_missing(store, run, context.state.coverage, run.started_at)
    if found.problems:
        raise Malformed(f"{len(found.problems)} of them can't be looked at: {found.problems[0]}")
    if gone.withheld:
        raise CutShort(f"{gone.withheld} of them are gone, too many to believe", "lost access?")
    return SampleResult(stored, len(chosen), context.counts.updated, gone.marked)
