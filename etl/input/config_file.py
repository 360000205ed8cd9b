"""Loading the settings: one TOML file, overridden key by key from the environment."""

import os
import shlex
import tomllib
from collections.abc import Callable, Mapping, Sequence
from datetime import date, timedelta
from functools import partial
from pathlib import Path
from typing import Any, Final

import msgspec

from etl.config import (
    DURATION_WANTED,
    Duration,
    Lake,
    Names,
    OAuth,
    Service,
    Settings,
    parse_duration,
    parse_listen,
)
from etl.errors import ConfigError
from etl.input.config_names import check_names, check_variable, translate_message
from etl.input.text_files import read_text
from etl.input.time_zones import find_zone
from etl.invocation import program_name
from etl.models import is_alias
from etl.urls import check_lake_target, check_ping_url, check_url

DEFAULT_PATH: Final = Path("config.toml")
BASE_URL: Final = "GUMLOOP_BASE_URL"


def find_config(option: str | None, environ: Mapping[str, str] = os.environ) -> Path:
    """The configuration file: `--config`, else `$ETL_CONFIG`, else `./config.toml`."""
    return Path(option or environ.get("ETL_CONFIG") or DEFAULT_PATH)


def read_settings(path: Path, environ: Mapping[str, str] = os.environ) -> Settings:
    """Read the file and the environment. Raises ConfigError, naming the key and what it wants."""
    variables = _find_variables(environ)
    # In a container the environment may be all there is; a file that was asked for must be there.
    is_optional = path == DEFAULT_PATH and bool(variables.keys() - {BASE_URL})
    tables = _read(path) if path.exists() or not is_optional else {}
    check_names(tables, Settings, str(path))
    for name, value in variables.items():
        _override(tables, "ETL_API__BASE_URL" if name == BASE_URL else name, value)
        check_names(tables, Settings, name)
    return convert_tables(tables, str(path) if path.exists() else "", list(variables))


def convert_tables(tables: dict[str, Any], source: str, variables: Sequence[str] = ()) -> Settings:
    """Turn tables into settings. Raises ConfigError, naming the source or one of the variables."""
    check_names(tables, Settings, source)
    place = partial(_name_place, source, variables)
    try:
        settings = msgspec.convert(tables, Settings, strict=False, dec_hook=_decode)
    except msgspec.ValidationError as error:
        key, separator, told = translate_message(str(error), Settings).partition(":")
        raise ConfigError(f"{place(key)}{separator}{told}", _make_hint()) from None
    _check_values(settings, place)
    return settings


def _find_variables(environ: Mapping[str, str]) -> dict[str, str]:
    """The variables that set a key. Raises ConfigError for one that is meant to and doesn't."""
    found = {BASE_URL: environ[BASE_URL]} if environ.get(BASE_URL) else {}
    for name, value in environ.items():
        if not name.startswith("ETL_") or not value:
            continue
        if "__" in name or name == "ETL_AGENTS":
            found[name] = value
        else:
            check_variable(name, environ, Settings)
    return found


def _name_place(source: str, variables: Sequence[str], key: str) -> str:
    """A key and where it was set: `ETL_API__TIMEOUT: api.timeout`, or in the file."""
    wanted = "ETL_" + key.partition("[")[0].replace(".", "__").upper()
    by = [name for name in variables if name.upper() == wanted]
    by += [BASE_URL] if key == "api.base_url" and BASE_URL in variables else []
    return f"{by[0] if by else source or ', '.join(variables)}: {key}"


def _read(path: Path) -> dict[str, Any]:
    try:
        tables = tomllib.loads(read_text(path))
        return {table: _format_dates(keys) for table, keys in tables.items()}
    except FileNotFoundError:
        words = "init" if path == DEFAULT_PATH else f"--config {shlex.quote(str(path))} init"
        hint = f"`{program_name()} {words}` writes one; --config or ETL_CONFIG names another"
        raise ConfigError(f"there is no configuration file {path}", hint) from None
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text in UTF-8"
        raise ConfigError(f"{path} can't be read: {reason}", "check the path") from None
    except tomllib.TOMLDecodeError as error:
        hint = "strings need quotes, and each table, such as [sync], may appear only once"
        raise ConfigError(f"{path} is not valid TOML: {error}", hint) from None


def _format_dates(keys: Any) -> Any:
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
            raise ConfigError(f"{name}: [{table}] is not a table of keys", _make_hint())
    keys[key] = value


def _decode(kind: type, value: Any) -> Any:
    if kind is Names:
        return _read_names(value)
    if kind is not Duration:
        # What msgspec expects of a hook for a type that it doesn't know.
        raise NotImplementedError(kind)
    if not isinstance(value, str):
        raise ValueError(f"expected {DURATION_WANTED}, got {value!r}")
    return parse_duration(value)


def _read_names(value: Any) -> Names:
    names = [part.strip() for part in value.split(",")] if isinstance(value, str) else value
    if not isinstance(names, list) or not all(isinstance(name, str) and name for name in names):
        raise ValueError(f"expected a list of strings, none of them empty, got {value!r:.80}")
    return Names(names)


def _check_values(settings: Settings, place: Callable[[str], str]) -> None:
    _check_agents([agent.id for agent in settings.agents], place("agents"))
    for key, value in (
        ("schedule.reconcile", settings.schedule.reconcile),
        ("sync.since", settings.sync.since),
    ):
        if value == "":
            raise ConfigError(f"{place(key)} is empty", "leave the key out for its default")
    if settings.schedule.timezone != "UTC":
        find_zone(settings.schedule.timezone, f"{place('schedule.timezone')}: ")
    _check_durations(settings, place)
    check_url(settings.api.base_url, place("api.base_url"))
    _check_lake(settings.lake, place("lake.target"))
    _check_oauth(settings.api.oauth, place)
    _check_service(settings.service, place)


def _check_agents(ids: Sequence[str], place: str) -> None:
    for id in ids:
        if not _is_text(id):
            raise ConfigError(f"{place}: an agent's id is not UTF-8", "check ETL_AGENTS")
        if ids.count(id) > 1:
            raise ConfigError(f"{place}: the id {id!r} is listed twice", "list each agent once")
        if is_alias(id):
            hint = "a request for it would create an agent; use the agent's own id"
            raise ConfigError(f"{place}: the id {id!r} is an alias", hint)


def _check_durations(settings: Settings, place: Callable[[str], str]) -> None:
    ages = msgspec.structs.asdict(settings.retention)
    durations = {f"retention.{key}": age for key, age in ages.items()} | {
        "schedule.every": settings.schedule.every,
        "lake.every": settings.lake.every,
        "service.ready_within": settings.service.ready_within,
    }
    for key, duration in durations.items():
        if duration is not None and duration <= timedelta(0):
            raise ConfigError(f"{place(key)} must be greater than zero", DURATION_WANTED)


def _is_text(id: str) -> bool:
    """Whether an id can be written as UTF-8; bytes in the environment need not be."""
    return not any("\ud800" <= char <= "\udfff" for char in id)


def _check_oauth(oauth: OAuth, place: Callable[[str], str]) -> None:
    if oauth.token_url is not None:
        check_url(oauth.token_url, place("api.oauth.token_url"))
    if bool(oauth.client_id) != bool(oauth.refresh_token_file):
        hint = "token_url alone has a default; GUMLOOP_ACCESS_TOKEN is for a token of your own"
        what = "needs both client_id and refresh_token_file"
        raise ConfigError(f"{place('api.oauth')} {what}", hint)


def _check_lake(lake: Lake, place: str) -> None:
    if lake.target is not None:
        if not lake.target:
            raise ConfigError(f"{place} is empty", "leave the key out for no lake")
        check_lake_target(lake.target, place)


def _check_service(service: Service, place: Callable[[str], str]) -> None:
    if service.listen is not None:
        try:
            parse_listen(service.listen)
        except ValueError as error:
            raise ConfigError(f"{place('service.listen')}: {error}") from None
    if service.ping_url is not None:
        check_ping_url(service.ping_url, place("service.ping_url"))


def _make_hint() -> str:
    return f"`{program_name()} --config FILE init` writes a FILE with every key and its default"
