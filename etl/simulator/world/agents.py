"""Agents and teams of the simulated account."""

from dataclasses import dataclass, field
from typing import Any

from etl.simulator.world.rows import AgentRows


@dataclass
class Agent:
    """An agent; *owned* says whether the caller created it."""

    id: str
    name: str
    created_at: str
    description: str | None = None
    team_id: str | None = None
    model_name: str = "auto"
    owned: bool = True
    retired: bool = False
    active: bool = True
    rows: AgentRows = field(default_factory=AgentRows, repr=False)

    def record(self) -> dict[str, Any]:
        """Return the agent as the API shows it."""
        return {
            "id": self.id,
            "name": self.name,
            "description": self.description,
            "team_id": self.team_id,
            "is_active": self.active,
            "type": "custom",
            "model_name": self.model_name,
            "created_at": self.created_at,
            "tools": [],
            "resources": [],
            "metadata": {},
        }
