"""Asking before something is done that can't be undone."""

import sys

from etl.errors import ConfigError


def confirm(question: str) -> bool:
    """Ask on the terminal. Raises ConfigError where there is none."""
    if not sys.stdin.isatty():
        hint = "--yes answers beforehand"
        raise ConfigError("this can't be undone, and there is no terminal to ask on", hint)
    print(f"{question} It can't be undone. [y/N] ", end="", flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")
