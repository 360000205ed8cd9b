"""A property test of the whole engine: any interleaving of changes, faults, crashes and runs.

A few examples on each database; `make soak` tries others for as long as one likes.
"""

import time
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, Verbosity, note, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from etl.planning.run_demand import RunOptions
from etl.simulator import Fault, Traits
from tests.torture.databases import Databases
from tests.torture.rig import Killer, Rig
from tests.torture.truth import KINDS, now

FAULTS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("status", {"status": 500}),
    ("status", {"status": 429, "headers": {"Retry-After": "0"}}),
    ("status", {"status": 403, "code": "insufficient_scope"}),
    ("reset", {}),
    ("reset", {"where": "middle"}),
    ("truncate", {}),
    ("garbage", {}),
    ("garbage", {"form": "wrong_types"}),
    ("garbage", {"form": "empty_object"}),
    ("error_200", {}),
    ("empty_page", {}),
    ("missing_sessions", {}),
    ("null_cursor", {}),
    ("repeat_cursor", {}),
    ("aba_cursor", {}),
    ("elsewhere", {}),
    ("elsewhere", {"where": "tail"}),
    ("other_agent", {}),
    ("refuse_cursor", {}),
    ("ignore_cursor", {}),
    ("shuffle", {}),
)
FAILED = "-> failed:"
LOOKBACKS = (timedelta(0), timedelta(seconds=2), timedelta(hours=1), timedelta(days=1))
# Lists lag less than the lookbacks but none, which promises nothing of what turns up late.
LAGS = (0.0, 0.0, 0.05, 0.5)
TREATMENTS = ("follow", "refuse", "first_page", "end")
traits = st.builds(
    Traits,
    cursor_requests=st.none() | st.tuples(st.integers(24, 30), st.integers(30, 80)),
    old_cursor=st.sampled_from(("refuse", "first_page", "end")),
    foreign_cursor=st.sampled_from(TREATMENTS),
    refusal=st.sampled_from((400, 404, 410, 500)),
    list_lag=st.sampled_from(LAGS),
    ignores_state=st.booleans(),
    empty_end=st.booleans(),
    seed=st.integers(0, 1000),
)

numbers = st.integers(0, 60)
which = st.integers(0, 1)
changes = st.tuples(st.sampled_from(KINDS), numbers)
wishes = st.builds(
    RunOptions,
    mode=st.sampled_from(("incremental", "backfill", "reconcile")),
    walkers=st.none() | st.integers(1, 4),
    seek=st.booleans(),
    lookback=st.sampled_from(LOOKBACKS),
)
moments = st.dictionaries(st.integers(1, 15), st.lists(changes, min_size=1, max_size=3), max_size=3)
pages = st.integers(3, 10)


@dataclass
class Totals:
    """What was tried: examples, their steps and runs, runs that crashed, processes killed."""

    examples: int = 0
    steps: int = 0
    runs: int = 0
    crashes: int = 0
    kills: int = 0


class Torture(RuleBasedStateMachine):
    def __init__(self, databases: Databases, totals: Totals) -> None:
        super().__init__()
        self.databases = databases
        self.totals = totals

    @initialize(first=st.integers(0, 60), second=st.integers(1, 12), size=pages)
    def begin(self, first: int, second: int, size: int) -> None:
        self.rig = Rig(self.databases.make(), (first, second))
        self.page_size = size
        self.totals.examples += 1

    def teardown(self) -> None:
        if hasattr(self, "rig"):
            self.rig.close()

    @invariant()
    def count_step(self) -> None:
        self.totals.steps += 1

    def _run(self, number: int, options: RunOptions, **more: Any) -> None:
        agent = self.rig.agents[number]
        try:
            report = self.rig.run(agent, options, page_size=self.page_size, **more)
        except AssertionError as error:
            note(f"{FAILED} {error}")
            raise
        self.totals.runs += 1
        self.totals.crashes += report is None
        note(f"-> {report and (report.status, report.error)}")

    # -- the world changes -----------------------------------------------------------------

    @rule(agent=which, some=st.lists(changes, min_size=1, max_size=6))
    def change(self, agent: int, some: list[tuple[str, int]]) -> None:
        for kind, n in some:
            self.rig.truth.mutate(self.rig.agents[agent], kind, n)

    @rule(agent=which, count=st.integers(2, 30))
    def arrivals(self, agent: int, count: int) -> None:
        for _ in range(count):
            self.rig.truth.mutate(self.rig.agents[agent], "add_now", 4)

    @rule(agent=which, count=st.integers(5, 40))
    def many_vanish(self, agent: int, count: int) -> None:
        for id in self.rig.truth.ids(self.rig.agents[agent])[:count]:
            self.rig.truth.remove(id)

    @rule(agent=which)
    def all_return(self, agent: int) -> None:
        for id in list(self.rig.truth.gone):
            if self.rig.truth.agent_of[id] == self.rig.agents[agent]:
                self.rig.truth.restore(id)

    # -- the API is another one ------------------------------------------------------------

    @rule(traits=traits)
    def another_server(self, traits: Traits) -> None:
        self.rig.adopt(traits)

    @rule()
    def cursors_die(self) -> None:
        self.rig.api.expire_cursors()

    # -- the API misbehaves ----------------------------------------------------------------

    @rule(
        fault=st.sampled_from(FAULTS),
        after=st.integers(0, 6),
        times=st.sampled_from((1, 1, 2, 4, None)),
    )
    def fault(self, fault: tuple[str, dict[str, Any]], after: int, times: int | None) -> None:
        kind, params = fault
        known = {row["agent_id"] for row in self.rig.database.snapshot()["sessions"]}
        if kind == "empty_page" and not known.issuperset(self.rig.agents):
            # A list of which nothing is known, and that is empty four times, is an empty list.
            times = min(times or 3, 3)
        self.rig.api.add_fault(Fault(kind, after=after, times=times, **params))

    @precondition(lambda self: len(self.rig.api.faults) > 0)
    @rule()
    def faults_end(self) -> None:
        self.rig.api.clear_faults()

    # -- runs ------------------------------------------------------------------------------

    @rule(agent=which, options=wishes)
    def run(self, agent: int, options: RunOptions) -> None:
        self._run(agent, options)

    @rule(agent=which, options=wishes, during=moments)
    def run_while_it_changes(
        self, agent: int, options: RunOptions, during: dict[int, list[tuple[str, int]]]
    ) -> None:
        id, truth = self.rig.agents[agent], self.rig.truth

        def hook(some: list[tuple[str, int]]) -> Any:
            return lambda: [truth.mutate(id, kind, n) for kind, n in some]

        self._run(agent, options, hooks={at: hook(some) for at, some in during.items()})

    @rule(
        agent=which,
        since=st.none() | st.integers(1, 100),
        until=st.none() | st.integers(1, 100),
        restart=st.booleans(),
        walkers=st.integers(1, 4),
    )
    def bounded_backfill(
        self, agent: int, since: int | None, until: int | None, restart: bool, walkers: int
    ) -> None:
        low = since and now() - timedelta(hours=since)
        high = until and now() - timedelta(hours=until)
        if low and high and low >= high:
            low, high = high - timedelta(hours=5), high
        self._run(agent, RunOptions("backfill", low, high, restart=restart, walkers=walkers))

    @rule(agent=which, options=wishes, at=st.integers(1, 60))
    def crash_at_statement(self, agent: int, options: RunOptions, at: int) -> None:
        self._run(agent, options, killer=Killer(at_statement=at))

    @rule(agent=which, options=wishes, at=st.integers(1, 14))
    def crash_at_request(self, agent: int, options: RunOptions, at: int) -> None:
        self._run(agent, options, killer=Killer(at_request=at))

    @rule(agent=which, options=wishes, at=st.integers(1, 10))
    def another_process_takes_over(self, agent: int, options: RunOptions, at: int) -> None:
        id = self.rig.agents[agent]
        self._run(agent, options, hooks={at: lambda: self.rig.take_over(id)}, disturbed=True)

    @rule(agent=which, options=wishes)
    def another_process_holds_it(self, agent: int, options: RunOptions) -> None:
        self.rig.hold(self.rig.agents[agent], 0.1)
        self._run(agent, options)

    @rule(agent=which, options=wishes)
    def twice(self, agent: int, options: RunOptions) -> None:
        """A run over unchanged data changes no row."""
        self.rig.api.clear_faults()
        # Until then the list still changes.
        time.sleep(self.rig.truth.lag.total_seconds())
        # A first look at an open session by its id may add to it; the second one may not.
        for _ in range(2):
            self._run(agent, options)
        before = self.rig.snapshot()
        self._run(agent, options)
        after = self.rig.snapshot()
        for table in ("sessions", "creators", "session_states"):
            assert after[table] == before[table], f"a run over unchanged data changed {table}"


def torture(
    databases: Databases, totals: Totals, *, examples: int, steps: int, number: int | None = None
) -> None:
    """Try examples: those of a seed, or, without one, always the same.

    With a seed each step of each example is reported, since threads and clocks let some failures
    come only now and then: Hypothesis can't show those.
    """

    def make() -> Torture:
        return Torture(databases, totals)

    if number is not None:
        seed(number)(make)
    wanted = settings(
        max_examples=examples,
        stateful_step_count=steps,
        deadline=None,
        phases=(Phase.generate, Phase.shrink),
        print_blob=True,
        database=None,
        derandomize=number is None,
        verbosity=Verbosity.normal if number is None else Verbosity.debug,
        suppress_health_check=list(HealthCheck),
    )
    run_state_machine_as_test(make, settings=wanted)


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_any_interleaving(databases: Databases) -> None:
    torture(databases, Totals(), examples=3, steps=12)
