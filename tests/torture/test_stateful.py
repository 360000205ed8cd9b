"""A property test of the whole engine: any interleaving of changes, faults, crashes and runs."""

import os
import tempfile
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, note, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from etl.api.client import utc_now
from etl.simulator import Fault
from etl.store.schema import migrate
from etl.store.store import Store
from etl.sync.agent_run import RunOptions
from tests.torture.auditor import snapshot
from tests.torture.rig import Killer, Rig
from tests.torture.truth import KINDS, now

EXAMPLES = int(os.environ.get("ETL_TEST_EXAMPLES", "6"))
STEPS = int(os.environ.get("ETL_TEST_STEPS", "12"))

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
    ("other_agent", {}),
    ("refuse_cursor", {}),
    ("ignore_cursor", {}),
    ("shuffle", {}),
)
LOOKBACKS = (timedelta(0), timedelta(hours=1), timedelta(days=1))

numbers = st.integers(0, 60)
which = st.integers(0, 1)
changes = st.tuples(st.sampled_from(KINDS), numbers)
wishes = st.builds(
    RunOptions,
    mode=st.sampled_from(("incremental", "backfill", "reconcile")),
    walkers=st.integers(1, 4),
    lookback=st.sampled_from(LOOKBACKS),
)
moments = st.dictionaries(st.integers(1, 15), st.lists(changes, min_size=1, max_size=3), max_size=3)
pages = st.integers(3, 10)


def _template() -> Path:
    """A file with the newest schema, made once."""
    path = Path(tempfile.mkdtemp(prefix="etl-torture-")) / "template.db"
    store = Store(f"sqlite:///{path}", utc_now)
    migrate.upgrade(store.engine)
    # Closing the last connection moves everything into the file itself.
    store.close()
    return path


class Torture(RuleBasedStateMachine):
    template: Path | None = None

    @initialize(first=st.integers(0, 60), second=st.integers(1, 12), size=pages)
    def begin(self, first: int, second: int, size: int) -> None:
        Torture.template = Torture.template or _template()
        self.folder = tempfile.TemporaryDirectory(prefix="etl-torture-")
        self.rig = Rig(Path(self.folder.name), (first, second), Torture.template)
        self.page_size = size

    def teardown(self) -> None:
        if hasattr(self, "rig"):
            self.rig.close()
            self.folder.cleanup()

    def _run(self, number: int, options: RunOptions, **more: Any) -> None:
        agent = self.rig.agents[number]
        report = self.rig.run(agent, options, page_size=self.page_size, **more)
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

    # -- the API misbehaves ----------------------------------------------------------------

    @rule(
        fault=st.sampled_from(FAULTS),
        after=st.integers(0, 6),
        times=st.sampled_from((1, 1, 2, 4, None)),
    )
    def fault(self, fault: tuple[str, dict[str, Any]], after: int, times: int | None) -> None:
        kind, params = fault
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
        # A first look at an open session by its id may add to it; the second one may not.
        for _ in range(2):
            self._run(agent, options)
        before = snapshot(self.rig.file)
        self._run(agent, options)
        after = snapshot(self.rig.file)
        for table in ("sessions", "creators", "session_states"):
            assert after[table] == before[table], f"a run over unchanged data changed {table}"


Torture.TestCase.settings = settings(
    max_examples=EXAMPLES,
    stateful_step_count=STEPS,
    deadline=None,
    print_blob=True,
    # The default run is the same everywhere; more examples are drawn at random.
    derandomize="ETL_TEST_EXAMPLES" not in os.environ,
    suppress_health_check=list(HealthCheck),
)
TestTorture = pytest.mark.long(pytest.mark.timeout(3600)(Torture.TestCase))
