"""Settings: one TOML file, overridden key by key from the environment.

Credentials are not settings: see `etl.credentials`.
"""

import os
import re
import tomllib
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta

from etl.credentials import Credentials
from etl.errors import ConfigError
from etl.input.config_names import check_names, check_variable, in_words
from etl.input.text_files import read_text
from etl.input.time_zones import find_zone
from etl.invocation import program_name
from etl.models import is_alias
from etl.urls import check_lake_target, check_ping_url, check_url

__all__ = [
    "Agent",
    "Api",
    "Credentials",
    "Database",
    "Discovery",
    "Duration",
    "Lake",
    "Names",
    "OAuth",
    "Privacy",
    "Retention",
    "Schedule",
    "Service",
    "Settings",
    "Sync",
    "Treatment",
    "config_path",
    "load",
    "parse_duration",
    "parse_listen",
]

Positive = Annotated[int, Meta(ge=1)]
Treatment = Literal["keep", "hash", "drop"]
UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
DEFAULT_PATH: Final = Path("config.toml")
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


def config_path(option: str | None, environ: Mapping[str, str] = os.environ) -> Path:
    """The configuration file: `--config`, else `$ETL_CONFIG`, else `./config.toml`."""
    return Path(option or environ.get("ETL_CONFIG") or DEFAULT_PATH)


def load(path: Path, environ: Mapping[str, str] = os.environ) -> Settings:
    """Read the file and the environment. Raises ConfigError, naming the key and what it wants."""
    tables = _read(path) if path.exists() or not _from_environment_alone(path, environ) else {}
    variables = []
    check_names(tables, Settings, str(path))
    if environ.get("GUMLOOP_BASE_URL"):
        _override(tables, "ETL_API__BASE_URL", environ["GUMLOOP_BASE_URL"])
        variables.append("GUMLOOP_BASE_URL")
    for name, value in environ.items():
        if not name.startswith("ETL_") or not value:
            continue
        if "__" in name or name == "ETL_AGENTS":
            _override(tables, name, value)
            check_names(tables, Settings, name)
            variables.append(name)
        else:
            check_variable(name, environ, Settings)
    return check(tables, str(path) if path.exists() else "", variables)


def check(tables: dict[str, Any], source: str, variables: Sequence[str] = ()) -> Settings:
    """Turn tables into settings. Raises ConfigError, naming the source or one of the variables."""
    sources = ", ".join(filter(None, (source, *variables)))
    check_names(tables, Settings, sources)
    try:
        settings = msgspec.convert(tables, Settings, strict=False, dec_hook=_decode)
    except msgspec.ValidationError as error:
        told = in_words(str(error), Settings)
        variable = "ETL_" + told.partition(":")[0].replace(".", "__").upper()
        where = variable if variable in variables else source or sources
        raise ConfigError(f"{where}: {told}", _hint()) from None
    _check_values(settings, sources)
    return settings


def _from_environment_alone(path: Path, environ: Mapping[str, str]) -> bool:
    """Whether no file was asked for and the environment has settings, as in a container."""
    return path == DEFAULT_PATH and any(name.startswith("ETL_") for name in environ)


def _read(path: Path) -> dict[str, Any]:
    try:
        tables = tomllib.loads(read_text(path))
        return {table: _dates_as_text(keys) for table, keys in tables.items()}
    except FileNotFoundError:
        words = "init" if path == DEFAULT_PATH else f"--config {path} init"
        hint = f"`{program_name()} {words}` writes one; --config or ETL_CONFIG names another"
        raise ConfigError(f"there is no configuration file {path}", hint) from None
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text in UTF-8"
        raise ConfigError(f"{path} can't be read: {reason}", "check the path") from None
    except tomllib.TOMLDecodeError as error:
        hint = "strings need quotes, and each table, such as [sync], may appear only once"
        raise ConfigError(f"{path} is not valid TOML: {error}", hint) from None


def _dates_as_text(keys: Any) -> Any:
    """TOML has dates of its own; here they may stand without quotes."""
    if not isinstance(keys, dict):
        return keys
    return {k: v.isoformat() if isinstance(v, date) else v for k, v in keys.items()}


def _override(tables: dict[str, Any], name: str, value: str) -> None:
    if name == "ETL_AGENTS":
        tables["agents"] = [{"id": part.strip()} for part in value.split(",") if part.strip()]
        return
    *path, key = name.removeprefix("ETL_").lower().split("__")
    keys = tables
    for table in path:
        keys = keys.setdefault(table, {})
        if not isinstance(keys, dict):
            raise ConfigError(f"{name}: [{table}] is not a table of keys", _hint())
    keys[key] = value


def _decode(kind: type, value: Any) -> Any:
    if kind is Names:
        return _names(value)
    if kind is not Duration:
        # So msgspec is told of a type that the hook doesn't know.
        raise NotImplementedError(kind)
    if not isinstance(value, str):
        raise ValueError(f"expected {DURATION_WANTED}, got {value!r}")
    return parse_duration(value)


def _names(value: Any) -> Names:
    names = [part.strip() for part in value.split(",")] if isinstance(value, str) else value
    if not isinstance(names, list) or not all(isinstance(name, str) and name for name in names):
        raise ValueError(f"expected a list of strings, none of them empty, got {value!r:.80}")
    return Names(names)


def _check_values(settings: Settings, source: str) -> None:
    ids = [agent.id for agent in settings.agents]
    for twice in {id for id in ids if ids.count(id) > 1}:
        raise ConfigError(f"{source}: agents.id {twice!r} is listed twice", "list each agent once")
    if not all(_is_text(id) for id in ids):
        raise ConfigError(f"{source}: an agent's id is not UTF-8", "check ETL_AGENTS")
    for key, value in (("reconcile", settings.schedule.reconcile), ("since", settings.sync.since)):
        if value == "":
            raise ConfigError(f"{source}: {key} is empty", "leave the key out for its default")
    if settings.schedule.timezone != "UTC":
        find_zone(settings.schedule.timezone, f"{source}: schedule.timezone: ")
    _check_durations(settings, source)
    for id in ids:
        if is_alias(id):
            hint = "a request for it would create an agent; use the agent's own id"
            raise ConfigError(f"{source}: agents.id {id!r} is an alias", hint)
    check_url(settings.api.base_url, "api.base_url", source)
    _check_lake(settings.lake, source)
    _check_oauth(settings.api.oauth, source)
    _check_service(settings.service, source)


def _check_durations(settings: Settings, source: str) -> None:
    ages = msgspec.structs.asdict(settings.retention)
    durations = {f"retention.{key}": age for key, age in ages.items()} | {
        "schedule.every": settings.schedule.every,
        "lake.every": settings.lake.every,
        "service.ready_within": settings.service.ready_within,
    }
    for key, duration in durations.items():
        if duration is not None and duration <= timedelta(0):
            raise ConfigError(f"{source}: {key} must be greater than zero", DURATION_WANTED)


def _is_text(id: str) -> bool:
    """Whether an id can be written as UTF-8; bytes in the environment need not be."""
    return not any("\ud800" <= char <= "\udfff" for char in id)


def _check_oauth(oauth: OAuth, source: str) -> None:
    if oauth.token_url is not None:
        check_url(oauth.token_url, "api.oauth.token_url", source)
    if bool(oauth.client_id) != bool(oauth.refresh_token_file):
        hint = "token_url alone has a default; GUMLOOP_ACCESS_TOKEN is for a token of your own"
        raise ConfigError(f"{source}: api.oauth needs both client_id and refresh_token_file", hint)


def _check_lake(lake: Lake, source: str) -> None:
    if lake.target is not None:
        if not lake.target:
            raise ConfigError(f"{source}: lake.target is empty", "leave the key out for no lake")
        check_lake_target(lake.target, f"{source}: lake.target")


def _check_service(service: Service, source: str) -> None:
    if service.listen is not None:
        try:
            parse_listen(service.listen)
        except ValueError as error:
            raise ConfigError(f"{source}: service.listen: {error}") from None
    if service.ping_url is not None:
        check_ping_url(service.ping_url, f"{source}: service.ping_url")


def _hint() -> str:
    return f"`{program_name()} --config FILE init` writes a FILE with every key and its default"
