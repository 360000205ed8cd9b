"""The truth behind the simulated API: generated, edited, and changing as time passes."""

from datetime import datetime
from random import Random

from etl.simulator.times import HOUR, format_instant
from etl.simulator.world import changes, seed_data
from etl.simulator.world.edits import EditableAccount
from etl.simulator.world.generate import draw_rows


class World(EditableAccount):
    """An account with a generated history, in which time can pass."""

    @classmethod
    def generate(
        cls,
        *,
        agents: int = 2,
        sessions: int = 1000,
        seed: int = 1,
        now: datetime | None = None,
        days: float = 120,
        mixed_times: bool = False,
    ) -> "World":
        """Return a world with *sessions* per agent, begun in the last *days* before *now*.

        The same seed and now give the same data. With *mixed_times* created_at comes in all
        the forms that the platform is known to emit, else in that of the documented samples.
        """
        world = cls(now=now, seed=seed)
        world.pace = sessions / (days * 86400)
        created_at = format_instant(world.lived_to - int(days * 24) * HOUR - HOUR)
        for number in range(agents):
            profile = {**seed_data.agent_profile(number), "created_at": created_at}
            agent_id = world.add_agent(owned=number % 3 != 2, mixed_times=mixed_times, **profile)
            world.fill(agent_id, sessions, days)
        return world

    def fill(self, agent_id: str, count: int, days: float) -> None:
        """Give an agent so many sessions, begun in the last *days*."""
        rows = draw_rows(self.rng, agent_id, count, days, self.lived_to, self._rows)
        self._agents[agent_id].rows.fill(rows)

    def live(self, seconds: float, rng: Random | None = None) -> changes.Events:
        """Let time pass: sessions arrive, go on, finish, are reopened, renamed and removed."""
        with self.lock:
            return changes.live(self, seconds, rng or self.rng)
