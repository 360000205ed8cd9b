"""How many walks an agent may have: `api.concurrency` is shared by how much each has left."""

import math
import threading
from dataclasses import dataclass, field
from typing import Final

UNKNOWN_PAGES: Final = 10.0
"""Pages that an agent is taken to have left as long as nobody knows."""


@dataclass(slots=True)
class WalkBudget:
    """Shared by the agents of a process. Safe to use from several threads."""

    total: int
    """Requests in flight at most, over all agents."""
    _left: dict[str, float] = field(default_factory=dict)
    """Pages that each agent at work has left, as far as is known."""
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def allow(self, agent_id: str, pages_left: float) -> int:
        """How many walks an agent with so many pages left may have now: one at least.

        As long as nobody knows how many, two: the second one, from the list's end, tells.
        """
        is_known = not math.isinf(pages_left)
        with self._lock:
            known = pages_left if is_known else UNKNOWN_PAGES
            self._left[agent_id] = max(1.0, known)
            share = self._left[agent_id] / sum(self._left.values())
        least = 1 if is_known else min(2, self.total)
        return max(least, round(self.total * share))

    def leave(self, agent_id: str) -> None:
        """An agent has no more to walk: the others share its part."""
        with self._lock:
            self._left.pop(agent_id, None)
