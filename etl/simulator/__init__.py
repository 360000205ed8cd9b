"""A stand-in for the Gumloop API over real HTTP, with a truth that changes over time."""

from etl.simulator.http.faults import Fault
from etl.simulator.http.server import Simulator
from etl.simulator.traits import Traits
from etl.simulator.world.edits import ABSENT
from etl.simulator.world.world import World

__all__ = ["ABSENT", "Fault", "Simulator", "Traits", "World"]
