"""Settings: one TOML file, overridden key by key from the environment.

Credentials are not settings: they come from the environment, or a file named there, alone.
"""

import difflib
import os
import re
import tomllib
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta

from etl.errors import ConfigError

__all__ = [
    "Agent",
    "Api",
    "Credentials",
    "Database",
    "Duration",
    "Schedule",
    "Settings",
    "Sync",
    "config_path",
    "load",
    "parse_duration",
]

Positive = Annotated[int, Meta(ge=1)]
UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
DEFAULT_PATH: Final = Path("config.toml")
DURATION_WANTED: Final = 'a duration like "15m", "2h" or "7d"'


class Duration(timedelta):
    """A span of time, written like `15m`, `2h`, `7d`."""


class Api(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """`[api]`: where the API is and how hard it may be asked."""

    base_url: str = "https://api.gumloop.com/api/v1"
    page_size: Annotated[int, Meta(ge=1, le=100)] = 100
    timeout: Annotated[float, Meta(gt=0, le=3600)] = 30
    max_attempts: Positive = 6
    requests_per_second: Annotated[float, Meta(ge=0, le=1e6)] = 0
    concurrency: Positive = 8


class Database(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """`[database]`: an SQLAlchemy URL, `sqlite:///FILE` or `postgresql://...`."""

    url: str = "sqlite:///gumloop.db"


class Sync(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """`[sync]`: how far back a sync looks, how many walks an agent gets, and transcripts."""

    lookback: Duration = Duration(hours=1)
    since: str | None = None
    idle_recheck: Duration = Duration(days=7)
    walkers: Positive = 2
    transcripts: bool = False
    transcripts_per_run: Positive = 500


class Schedule(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """`[schedule]`: when `run` syncs."""

    every: Duration = Duration(minutes=15)
    cron: str | None = None
    jitter: Duration = Duration(0)
    reconcile: str = "1d"


class Agent(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """`[[agents]]`: one agent to sync."""

    id: Annotated[str, Meta(min_length=1)]
    name: str | None = None


class Settings(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """The whole configuration."""

    api: Api = msgspec.field(default_factory=Api)
    database: Database = msgspec.field(default_factory=Database)
    sync: Sync = msgspec.field(default_factory=Sync)
    schedule: Schedule = msgspec.field(default_factory=Schedule)
    agents: tuple[Agent, ...] = ()


def parse_duration(text: str) -> Duration:
    """Read `15m`, `2h`, `7d`, `1h30m`. Raises ValueError for anything else."""
    if not re.fullmatch(r"([0-9]+(\.[0-9]+)?[smhdw])+", text):
        raise ValueError(f"expected {DURATION_WANTED}, got {text!r}")
    parts = re.findall(r"([0-9]+(?:\.[0-9]+)?)([smhdw])", text)
    try:
        total = sum((timedelta(**{UNITS[unit]: float(n)}) for n, unit in parts), timedelta())
    except OverflowError:
        raise ValueError(f"expected {DURATION_WANTED}, got one of millennia: {text!r}") from None
    return Duration(days=total.days, seconds=total.seconds, microseconds=total.microseconds)


def config_path(option: str | None, environ: Mapping[str, str] = os.environ) -> Path:
    """The configuration file: `--config`, else `$ETL_CONFIG`, else `./config.toml`."""
    return Path(option or environ.get("ETL_CONFIG") or DEFAULT_PATH)


def load(path: Path, environ: Mapping[str, str] = os.environ) -> Settings:
    """Read the file and the environment. Raises ConfigError, naming the key and what it wants."""
    tables = _read(path) if path.exists() or not _from_environment_alone(path, environ) else {}
    if environ.get("GUMLOOP_BASE_URL"):
        _override(tables, "ETL_API__BASE_URL", environ["GUMLOOP_BASE_URL"])
    for name, value in environ.items():
        if name.startswith("ETL_") and value and ("__" in name or name == "ETL_AGENTS"):
            _override(tables, name, value)
    return check(tables, str(path))


def check(tables: dict[str, Any], source: str) -> Settings:
    """Turn tables into settings. Raises ConfigError."""
    _check_names(tables, source)
    try:
        settings = msgspec.convert(tables, Settings, strict=False, dec_hook=_decode)
    except msgspec.ValidationError as error:
        raise ConfigError(f"{source}: {_plain(str(error))}", _hint()) from None
    _check_rest(settings, source)
    return settings


def _from_environment_alone(path: Path, environ: Mapping[str, str]) -> bool:
    """Whether no file was asked for and the environment has settings, as in a container."""
    return path == DEFAULT_PATH and any(name.startswith("ETL_") for name in environ)


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        hint = "`python -m etl init` writes one; --config or ETL_CONFIG names another"
        raise ConfigError(f"there is no configuration file {path}", hint) from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} can't be read: {error}") from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path} is not valid TOML: {error}", "strings need quotes") from None


def _override(tables: dict[str, Any], name: str, value: str) -> None:
    if name == "ETL_AGENTS":
        tables["agents"] = [{"id": part.strip()} for part in value.split(",") if part.strip()]
        return
    table, _, key = name.removeprefix("ETL_").lower().partition("__")
    keys = tables.setdefault(table, {})
    if not isinstance(keys, dict):
        raise ConfigError(f"{name}: [{table}] is not a table of keys", _hint())
    keys[key] = value


def _decode(kind: type, value: Any) -> Any:
    if kind is not Duration:
        raise NotImplementedError(kind)
    if not isinstance(value, str):
        raise ValueError(f"expected {DURATION_WANTED}, got {value!r}")
    return parse_duration(value)


def _check_names(tables: dict[str, Any], source: str) -> None:
    known = {field.name: field.type for field in msgspec.structs.fields(Settings)}
    for table, keys in tables.items():
        _check_name(table, list(known), source, f"[{table}]")
        rows = keys if isinstance(keys, list) else [keys]
        names = [
            f.name for f in msgspec.structs.fields(Agent if table == "agents" else known[table])
        ]
        for key in (key for row in rows if isinstance(row, dict) for key in row):
            _check_name(key, names, source, f"{table}.{key}")


def _check_name(name: str, known: list[str], source: str, shown: str) -> None:
    if name in known:
        return
    close = difflib.get_close_matches(name, known, 1)
    hint = f"did you mean {close[0]}?" if close else f"known here: {', '.join(known)}"
    raise ConfigError(f"{source}: unknown key {shown}", hint)


def _check_rest(settings: Settings, source: str) -> None:
    ids = [agent.id for agent in settings.agents]
    for twice in {id for id in ids if ids.count(id) > 1}:
        raise ConfigError(f"{source}: agents.id {twice!r} is there twice", "list each agent once")
    for key, value in (("reconcile", settings.schedule.reconcile), ("since", settings.sync.since)):
        if value == "":
            raise ConfigError(f"{source}: {key} is empty", "leave the key out for its default")
    if settings.schedule.every <= timedelta(0):
        raise ConfigError(f"{source}: schedule.every must be longer than nothing", DURATION_WANTED)
    _check_url(settings.api.base_url, source)


def _check_url(url: str, source: str) -> None:
    from urllib.parse import urlsplit

    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError as error:
        raise ConfigError(f"{source}: api.base_url is not a URL: {error}") from None
    if parts.username or parts.password or "@" in url:
        raise ConfigError(f"{source}: api.base_url must not carry a user or password")
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ConfigError(f"{source}: api.base_url must be an https:// URL", f"it is {url!r:.200}")
    if parts.scheme == "http" and not _loopback(parts.hostname):
        hint = "credentials would travel in clear text; use https"
        raise ConfigError(f"{source}: api.base_url is plain http to {parts.hostname}", hint)


def _loopback(host: str) -> bool:
    return host in {"localhost", "::1"} or bool(re.fullmatch(r"127(\.\d{1,3}){3}", host))


def _plain(message: str) -> str:
    """Msgspec's sentence in words of TOML: `api.page_size: expected ...`."""
    text, _, path = message.partition(" - at `$")
    words = {
        "`int`": "an integer",
        "`str`": "a string",
        "`float`": "a number",
        "`object`": "a table",
    }
    for python, plain in (words | {"`array`": "a list", "`bool`": "true or false"}).items():
        text = text.replace(python, plain)
    key = path.strip("`").lstrip(".")
    return f"{key}: {text[0].lower()}{text[1:]}" if key else text


def _hint() -> str:
    return "config.example.toml lists every key with its default"


class Credentials(msgspec.Struct, frozen=True):
    """How requests identify themselves. Never shown: `repr` leaves the secrets out."""

    token: str
    user_id: str | None = None
    team_id: str | None = None

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ) -> "Credentials":
        """An access token if there is one, else an API key. Raises ConfigError if neither is."""
        team_id = _plain_value("GUMLOOP_TEAM_ID", environ.get("GUMLOOP_TEAM_ID"))
        token = _secret(environ, "GUMLOOP_ACCESS_TOKEN")
        if token:
            return cls(token, None, team_id)
        key = _secret(environ, "GUMLOOP_API_KEY")
        if key:
            user_id = _plain_value("GUMLOOP_USER_ID", environ.get("GUMLOOP_USER_ID"))
            return cls(key, user_id, team_id)
        hint = "set GUMLOOP_ACCESS_TOKEN, or GUMLOOP_API_KEY and GUMLOOP_USER_ID (or ..._FILE)"
        raise ConfigError("there is no credential for the API in the environment", hint)

    def headers(self) -> dict[str, str]:
        """The headers of a request: a key goes with its user's id, a token without."""
        headers = {"authorization": f"Bearer {self.token}"}
        return headers | ({"x-auth-key": self.user_id} if self.user_id else {})

    def __repr__(self) -> str:
        return f"Credentials(user_id={self.user_id!r}, team_id={self.team_id!r})"


def _secret(environ: Mapping[str, str], name: str) -> str | None:
    value, file = environ.get(name), environ.get(f"{name}_FILE")
    if not value and file:
        try:
            value = Path(file).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "not text"
            raise ConfigError(f"{name}_FILE: {file} can't be read: {reason}") from None
    return _plain_value(name, value)


def _plain_value(name: str, value: str | None) -> str | None:
    """A value that may stand in a header. Raises ConfigError."""
    value = (value or "").strip()
    if not value.isascii() or any(c.isspace() or ord(c) < 33 for c in value):
        raise ConfigError(
            f"{name} holds a character that no credential has", "check for line breaks"
        )
    return value or None
