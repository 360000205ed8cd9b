"""What happens while the service works, as values: logs, metrics and pings are made of them.

The layers that act take an `Observe` and know nothing of logs or metrics; by default nobody is
told. An observer is called from many threads, must be quick and must not raise.
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Literal

import msgspec

from etl.errors import EtlError
from etl.models import AgentReport, Mode, Pruned


class Event(msgspec.Struct, frozen=True):
    """Something that happened."""


class RequestAnswered(Event, frozen=True):
    """A request is over after so many seconds; its HTTP status, None if no whole response came.

    `clock_skew` is by how much this machine's clock is ahead of the API's, as far as is known.
    """

    status: int | None
    seconds: float
    clock_skew: timedelta | None = None


class RequestRetried(Event, frozen=True):
    """A request failed for the `attempt`th time and will be sent again in so many seconds."""

    what: str
    error: EtlError
    attempt: int
    seconds: float


class RequestGivenUp(Event, frozen=True):
    """A request failed, and no attempts are left."""

    what: str
    error: EtlError


class RequestDelayed(Event, frozen=True):
    """A request has waited so many seconds for its turn: our own limit, or another one's 429."""

    seconds: float


class ApiClosed(Event, frozen=True):
    """The API asks for no request within so many seconds, a longer wait than `api.max_wait`."""

    seconds: float
    error: EtlError


class ClockStepped(Event, frozen=True):
    """The clock went so far forward (it was set, or the machine slept), or back."""

    step: timedelta


class LeaseTakenOver(Event, frozen=True):
    """We took over an agent whose holder had not given it back: it died or hung."""

    agent_id: str


class RunStarted(Event, frozen=True):
    """An agent's run begins."""

    agent_id: str
    mode: Mode


class RunFinished(Event, frozen=True):
    """An agent's run is over, well or not, after so many seconds."""

    report: AgentReport
    seconds: float


class RunUnrecorded(Event, frozen=True):
    """How a run ended could not be written to the database; the next run corrects its row."""

    agent_id: str
    mode: Mode
    error: EtlError


class RunCrashed(Event, frozen=True):
    """A run ended by a bug."""

    agent_id: str
    mode: Mode
    error: Exception


class DatabaseFailed(Event, frozen=True):
    """The database refused a connection or broke one, or could not do its work."""

    error: Exception


class DatabaseAnswered(Event, frozen=True):
    """The database did what it was asked."""


class OutageBegan(Event, frozen=True):
    """The API or the database can't be used from now on."""

    of: Literal["api", "database"]
    error: Exception


class OutageEnded(Event, frozen=True):
    """It can be used again, after so many seconds."""

    of: Literal["api", "database"]
    seconds: float


class AgentFound(Event, frozen=True):
    """Discovery found an agent; from now on it is synced."""

    agent_id: str


class AgentGone(Event, frozen=True):
    """Discovery no longer finds an agent; its history stays."""

    agent_id: str


class DiscoveryIncomplete(Event, frozen=True):
    """So many lists of agents could not be read, and so many responses are in doubt."""

    failures: int
    warnings: int


class DiscoveryFailed(Event, frozen=True):
    """Discovery failed; no agent lost its job."""

    error: Exception


class RetentionApplied(Event, frozen=True):
    """What was past its age has been deleted."""

    done: Pruned


class RetentionFailed(Event, frozen=True):
    """It could not be deleted; the next day it is tried again."""

    error: Exception


class LakeUpdated(Event, frozen=True):
    """A lake equals the database again: so many rows changed there, in so many seconds."""

    inserted: int
    updated: int
    deleted: int
    seconds: float


class LakeSeen(Event, frozen=True):
    """The lake shows the database as of then, by whichever process."""

    as_of: datetime


class LakeFailed(Event, frozen=True):
    """Updating the lake failed; it is tried again at the next interval."""

    error: Exception


class ServiceStopping(Event, frozen=True):
    """The process was asked to end; pages at hand are still saved."""


class PingSent(Event, frozen=True):
    """The ping URL was told of success or failure; `error` if that went wrong."""

    error: Exception | None
    status: int | None = None


Observe = Callable[[Event], None]


def ignore(_: Event) -> None:
    """Nobody is told."""
