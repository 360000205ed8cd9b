"""What several commands share: settings, the store, the JSON of a run."""

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Final

from etl.cli.times import to_iso
from etl.config import Settings
from etl.errors import ConfigError
from etl.input.config_file import find_config, read_settings
from etl.models import AgentReport, Counts, Status, Transcripts
from etl.wording import suggest_agent

if TYPE_CHECKING:
    from etl.privacy import Rules
    from etl.store.store import Store

EXIT_CODES: Final[dict[Status, int]] = {"succeeded": 0, "interrupted": 130}


def load_settings(args: argparse.Namespace) -> Settings:
    """The configuration that the command line names."""
    return read_settings(find_config(args.config))


@contextmanager
def open_store(url: str, rules: "Rules | None" = None) -> "Iterator[Store]":
    """The database of a command that needs its tables, closed at the end, whatever happens.

    Raises ConfigError, StoreError, and SchemaMismatch for one that this program can't read.
    """
    from etl.clock import utc_now
    from etl.privacy import Rules
    from etl.store.read import status
    from etl.store.store import Store

    with Store(url, utc_now, rules or Rules()) as store:
        status.require_schema(store)
        yield store


def find_agents(store: "Store", wanted: Sequence[str] | None) -> tuple[str, ...]:
    """The agents of `--agent`, else all stored ones. Raises ConfigError for one not stored."""
    from etl.store.read import status

    known = status.read_agent_names(store)
    for id in wanted or ():
        if id not in known:
            hint = suggest_agent(id, known) or "sync it first"
            raise ConfigError(f"agent {id!r:.80} is not in the database", hint)
    return tuple(dict.fromkeys(wanted)) if wanted else tuple(known)


def confirm(question: str) -> bool:
    """Ask on the terminal. Raises ConfigError where there is none."""
    if not sys.stdin.isatty():
        hint = "--yes answers beforehand"
        raise ConfigError("this can't be undone, and there is no terminal to ask on", hint)
    print(f"{question} It can't be undone. [y/N] ", end="", flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def print_stderr(text: str) -> None:
    """Print a line on stderr; one that a full disk doesn't take is dropped."""
    with suppress(OSError):
        print(text, file=sys.stderr)


def to_exit_code(status: Status) -> int:
    """0 all done, 130 interrupted, 1 anything else."""
    return EXIT_CODES.get(status, 1)


def report_json(
    reports: Sequence[AgentReport],
    status: Status,
    errors: Sequence[str] = (),
    warnings: Sequence[str] = (),
) -> str:
    """A run as one JSON document; docs/cli.md keeps its fields stable."""
    messages = {"errors": list(errors), "warnings": list(warnings)}
    agents = [_agent_to_json(report) for report in reports]
    return json.dumps({"status": status, "agents": agents, **messages}, indent=1)


def _agent_to_json(one: AgentReport) -> dict[str, Any]:
    counts = {name: getattr(one.counts, name) for name in Counts.__slots__}
    head = {"agent_id": one.agent_id, "mode": one.mode, "status": one.status}
    tail = {"watermark": to_iso(one.watermark), "error": one.error, "warnings": one.warnings}
    names = [name for name in Transcripts.__slots__ if name != "cause"]
    transcripts = one.transcripts and {name: getattr(one.transcripts, name) for name in names}
    counts["repeated"] = one.counts.repeated
    return head | counts | tail | {"transcripts": transcripts}
