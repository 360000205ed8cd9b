"""What all parts of one agent's run share."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from etl.api.client import Client
from etl.models import Counts, Progress
from etl.planning.run_demand import AgentState, RunOptions
from etl.store.runs.lease import RENEW_EVERY
from etl.store.store import Batch, SaveResult, Store
from etl.store.write.responses import Run


@dataclass(slots=True)
class RunContext:
    """A run at work, and what has come of it so far."""

    client: Client
    store: Store
    run: Run
    state: AgentState
    """What is stored of the agent; it follows each save of the walks."""
    options: RunOptions
    """What the user asked for."""
    clock: Callable[[], datetime]
    """This machine's."""
    on_progress: Callable[[Progress], None] = lambda _: None
    counts: Counts = field(default_factory=Counts)
    """What the run has cost and saved so far."""
    warnings: set[str] = field(default_factory=set)
    """Sentences for the report; the run goes on."""
    _renewed: float = field(default_factory=time.monotonic)
    """When the lease was last extended, on the monotonic clock."""

    def save(self, batch: Batch) -> SaveResult:
        """Save a batch, which extends the lease, and count it. Raises StoreError, LeaseLost."""
        saved = self.store.save(self.run, batch)
        self._renewed = time.monotonic()
        self.counts.add(saved.counts)
        return saved

    def renew_lease(self) -> None:
        """Extend the lease if nothing has been saved for a while. Raises StoreError, LeaseLost."""
        if time.monotonic() - self._renewed > RENEW_EVERY:
            self.store.renew(self.run.lease)
            self._renewed = time.monotonic()
