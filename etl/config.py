"""The settings: their keys, types and defaults. `etl.input.config_file` loads them.

What each key means stands in docs/configuration.md. Credentials are not settings: see
`etl.credentials`.
"""

import re
from datetime import timedelta
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

Positive = Annotated[int, Meta(ge=1)]
Treatment = Literal["keep", "hash", "drop"]
UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
DURATION_WANTED: Final = 'a duration like "15m", "2h" or "7d"'
LISTEN_WANTED: Final = 'HOST:PORT like "127.0.0.1:9464" or "[::1]:9464"'
LARGEST_PORT: Final = 65_535


class Duration(timedelta):
    """A span of time, written like `15m`, `2h`, `7d`."""


class Names(tuple[str, ...]):
    """A list of strings; a single string is read as several with commas between them."""

    __slots__ = ()


class OAuth(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """`[api.oauth]`: the grant whose access tokens are used; off without `refresh_token_file`.

    Without `token_url` it is `/oauth/token` at the host of `api.base_url`.
    """

    client_id: str | None = None
    token_url: str | None = None
    refresh_token_file: str | None = None


class Api(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """`[api]`: where the API is and how hard it may be asked."""

    base_url: str = "https://api.gumloop.com/api/v1"
    page_size: Annotated[int, Meta(ge=1, le=100)] = 100
    timeout: Annotated[float, Meta(gt=0, le=3600)] = 30
    max_attempts: Positive = 6
    requests_per_second: Annotated[float, Meta(ge=0, le=1e6)] = 0
    concurrency: Annotated[int, Meta(ge=1, le=256)] = 8
    oauth: OAuth = msgspec.field(default_factory=OAuth)
    max_wait: Duration = Duration(minutes=5)


class Database(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """`[database]`: an SQLAlchemy URL, `sqlite:///FILE` or `postgresql://...`.

    Its `repr` hides the URL, which may hold a password.
    """

    url: str = "sqlite:///gumloop.db"

    def __repr__(self) -> str:
        return "Database(...)"


class Sync(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """`[sync]`: how far back a sync looks, how an agent's list is walked, and transcripts."""

    lookback: Duration = Duration(hours=1)
    since: str | None = None
    idle_recheck: Duration = Duration(days=7)
    walkers: Positive | Literal["auto"] = "auto"
    seek: bool = True
    transcripts: bool = False
    transcripts_per_run: Positive = 500


class Schedule(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """`[schedule]`: when `run` syncs; cron lines are in the zone `timezone`."""

    every: Duration = Duration(minutes=15)
    cron: str | None = None
    jitter: Duration = Duration(0)
    reconcile: str = "1d"
    timezone: str = "UTC"


class Service(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """`[service]`: how `run` is seen from outside. Its `repr` hides the ping URL, a secret."""

    listen: str | None = None
    ready_within: Duration | None = None
    ping_url: str | None = None
    ping_url_file: str | None = None
    log: Literal["auto", "json", "text"] = "auto"
    log_level: Literal["debug", "info", "warning", "error"] = "info"

    def __repr__(self) -> str:
        return f"Service(listen={self.listen!r}, ping={bool(self.ping_url or self.ping_url_file)})"


class Privacy(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """`[privacy]`: what is stored of people's email addresses and names."""

    emails: Treatment = "keep"
    names: Treatment = "keep"


class Retention(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """`[retention]`: ages past which things are deleted; unset: never."""

    transcripts: Duration | None = None
    payloads: Duration | None = None
    runs: Duration | None = None


class Lake(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """`[lake]`: where `run` keeps Delta tables, and how often it carries over; off if unset."""

    target: str | None = None
    every: Duration = Duration(hours=1)


class Agent(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """`[[agents]]`: one agent to sync."""

    id: str
    name: str | None = None

    def __post_init__(self) -> None:
        """Trim the id: one that was pasted often has a space at its end."""
        msgspec.structs.force_setattr(self, "id", self.id.strip())
        if not self.id:
            raise ValueError("expected an id that is not blank")


class Discovery(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """`[discovery]`: whose agents are found, and which of them are synced.

    `teams` holds ids or names; `all` stands for every team. Patterns are those of fnmatch.
    """

    own: bool = False
    teams: Names = Names()
    include: Names = Names(("*",))
    exclude: Names = Names()

    @property
    def on(self) -> bool:
        """Whether agents are looked for at all."""
        return self.own or bool(self.teams)


class Settings(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """The whole configuration."""

    api: Api = msgspec.field(default_factory=Api)
    database: Database = msgspec.field(default_factory=Database)
    sync: Sync = msgspec.field(default_factory=Sync)
    schedule: Schedule = msgspec.field(default_factory=Schedule)
    service: Service = msgspec.field(default_factory=Service)
    agents: tuple[Agent, ...] = ()
    discovery: Discovery = msgspec.field(default_factory=Discovery)
    privacy: Privacy = msgspec.field(default_factory=Privacy)
    retention: Retention = msgspec.field(default_factory=Retention)
    lake: Lake = msgspec.field(default_factory=Lake)


def parse_duration(text: str) -> Duration:
    """Read `15m`, `2h`, `7d`, `1h30m`. Raises ValueError for anything else."""
    if not re.fullmatch(r"([0-9]+(\.[0-9]+)?[smhdw])+", text):
        raise ValueError(f"expected {DURATION_WANTED}, got {text!r}")
    parts = re.findall(r"([0-9]+(?:\.[0-9]+)?)([smhdw])", text)
    try:
        total = sum((timedelta(**{UNITS[unit]: float(n)}) for n, unit in parts), timedelta())
    except OverflowError:
        raise ValueError(f"expected {DURATION_WANTED}, got a longer one: {text!r}") from None
    return Duration(days=total.days, seconds=total.seconds, microseconds=total.microseconds)


def parse_listen(text: str) -> tuple[str, int]:
    """Read `HOST:PORT`, an IPv6 host in brackets. Raises ValueError."""
    found = re.fullmatch(r"(?:\[([0-9A-Za-z:.%]+)\]|([^\[\]:/\s]+)):([0-9]{1,5})", text)
    if found is None or int(found[3]) > LARGEST_PORT:
        raise ValueError(f"expected {LISTEN_WANTED}, got {text!r:.200}")
    return found[1] or found[2], int(found[3])
