"""A stand-in for the Gumloop API over real HTTP, with a truth that changes over time."""

from etl.simulator.faults import Fault
from etl.simulator.server import Simulator
from etl.simulator.world import ABSENT, World

__all__ = ["ABSENT", "Fault", "Simulator", "World"]
