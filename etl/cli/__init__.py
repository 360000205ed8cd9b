"""What a person types: `python -m etl [--config FILE] COMMAND`, one module per command.

The folders are the groups of the help. A module has `NAME`, `HELP`, `configure(parser)` and
`run(args) -> exit code`; it imports what is heavy inside `run`, so that `--help` is quick.
"""

import argparse
import errno
import gc
import io
import os
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Final, TextIO

from etl import __version__
from etl.cli.care import db, forget
from etl.cli.common import print_stderr
from etl.cli.look import agents, list_sessions, runs, search, status
from etl.cli.parser import Parser, group_help
from etl.cli.share import explore, export, lake, report
from etl.cli.start import check, completion, demo, init
from etl.cli.sync import backfill, reconcile, run, sync, verify
from etl.errors import EtlError
from etl.invocation import program_name

GROUPS = {
    "start": (demo, init, check, completion),
    "sync": (sync, backfill, reconcile, run, verify),
    "look": (status, runs, search, agents, list_sessions),
    "share": (report, export, lake, explore),
    "care": (forget, db),
}
COMMANDS = tuple(command for group in GROUPS.values() for command in group)

STACK_SIZE: Final = 8 * 2**20
"""Bytes of a thread's stack: what glibc gives it anyway."""


def build_parser() -> Parser:
    """The parser with every command."""
    names = {group: [command.NAME for command in GROUPS[group]] for group in GROUPS}
    parser = Parser(
        prog=program_name(),
        description="Sync the sessions of Gumloop agents into a SQL database.",
        epilog="COMMAND --help shows the options of a command.",
        formatter_class=group_help(names),
    )
    parser.add_argument("--version", action="version", version=f"gumloop-etl {__version__}")
    parser.add_argument(
        "--config", metavar="FILE", help="configuration (else $ETL_CONFIG, else ./config.toml)"
    )
    parser.set_defaults(run=None, parser=parser, program=parser)
    commands = parser.add_subparsers(title="commands", dest="command", metavar="COMMAND")
    for command in COMMANDS:
        one = commands.add_parser(command.NAME, help=command.HELP, description=command.HELP)
        one.set_defaults(run=command.run, parser=one)
        command.configure(one)
    return parser


def parse_arguments(argv: Sequence[str]) -> argparse.Namespace:
    """Read the command line. Exits with 2 and a suggestion for anything unknown."""
    parser = build_parser()
    parser.require_known_options(argv)
    args, unknown = parser.parse_known_args(argv)
    if unknown:
        args.parser.error(args.parser.describe_unknown(unknown, parser.list_options()))
    return args


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code. No traceback reaches the user."""
    args = parse_arguments(sys.argv[1:] if argv is None else argv)
    try:
        code = 0
        if args.run:
            code = int(args.run(args))
        else:
            args.parser.print_help()
        sys.stdout.flush()
        return code
    except EtlError as error:
        return _fail(error)
    except KeyboardInterrupt:
        print_stderr("interrupted; what was saved is kept")
        return 130
    except BrokenPipeError:
        # The reader of our output has gone, as `head` does: nothing to complain about.
        _lead_nowhere(sys.stdout)
        return 0
    except Exception as error:
        if os.environ.get("ETL_DEBUG"):
            raise
        if isinstance(error, OSError) and error.errno == errno.ENOSPC:
            _lead_nowhere(sys.stdout)
            return _fail(EtlError("the output can't be written: the disk is full", "make room"))
        hint = "this is a bug: set ETL_DEBUG=1 to see where, and please report it"
        return _fail(EtlError(f"{type(error).__name__}: {error}", hint))


def entry() -> None:
    """Run a command and leave the process with its exit code.

    A thread may still wait for a response that was given up after a signal: it is not waited for.
    """
    # Rows are tuples without cycles: looking for some every 700 cost a tenth of a backfill's CPU.
    gc.set_threshold(20_000, 20, 20)
    # Python 3.13 decodes nesting down to 4 MiB of stack before it gives up; musl has 1 MiB.
    threading.stack_size(STACK_SIZE)
    _prepare_streams()
    try:
        code = main()
    finally:
        _settle_streams()
    if threading.active_count() > 1:
        os._exit(code)
    # Python looks for cycles among all objects once more as it ends: 0.09 s for nothing.
    gc.freeze()
    sys.exit(code)


def _prepare_streams() -> None:
    """Streams that were closed lead nowhere; what an encoding can't show becomes `?`."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            # It stays open as long as the process.
            setattr(sys, name, Path(os.devnull).open("w", encoding="utf-8"))  # noqa: SIM115
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


def _settle_streams() -> None:
    """Write what is buffered; what a full disk doesn't take is dropped.

    Python would try once more as it ends, and turn our exit code into 120.
    """
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            _lead_nowhere(stream)


def _lead_nowhere(stream: TextIO) -> None:
    """Send what a stream still holds, and all that follows, to the null device."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)


def _fail(error: EtlError) -> int:
    print_stderr(f"error: {error.message}")
    if error.hint:
        print_stderr(f"hint: {error.hint}")
    return error.exit_code
