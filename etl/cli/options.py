"""Options that several commands have, and how a number is read."""

import argparse
import re
from typing import Final

LARGEST_NUMBER: Final = 1_000_000_000


def add_agent_option(parser: argparse.ArgumentParser, help: str) -> None:
    """Add `--agent`, which may be repeated."""
    parser.add_argument("--agent", action="append", type=str.strip, metavar="ID", help=help)


def add_json_option(parser: argparse._ActionsContainer) -> None:
    """Add `--json` to a parser or a group of options."""
    parser.add_argument("--json", action="store_true", help="print one JSON document on stdout")


def add_migrate_option(parser: argparse.ArgumentParser) -> None:
    """Add `--migrate`."""
    parser.add_argument(
        "--migrate", action="store_true", help="upgrade an older database schema first"
    )


def parse_number(text: str) -> int:
    """Parse a whole number of 1 or more; larger ones than a billion count as one.

    Raises ArgumentTypeError.
    """
    if not re.fullmatch(r"[0-9]+", text) or not text.strip("0"):
        raise argparse.ArgumentTypeError(f"{text!r:.80} is not a whole number of 1 or more")
    # int() refuses more than 4,300 digits.
    digits = text.lstrip("0")
    return int(digits) if len(digits) < len(str(LARGEST_NUMBER)) else LARGEST_NUMBER
