"""How many walks an agent may have: `api.concurrency` is shared by how much each has left."""

import math
import threading
from dataclasses import dataclass, field
from typing import Final

__all__ = ["WalkBudget"]

UNKNOWN: Final = 100.0
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
        """How many walks an agent with so many pages left may have now: one at least."""
        with self._lock:
            known = UNKNOWN if math.isinf(pages_left) else pages_left
            self._left[agent_id] = max(1.0, known)
            share = self._left[agent_id] / sum(self._left.values())
        return max(1, round(self.total * share))

    def leave(self, agent_id: str) -> None:
        """An agent has no more to walk: the others share its part."""
        with self._lock:
            self._left.pop(agent_id, None)
