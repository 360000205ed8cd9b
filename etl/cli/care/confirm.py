"""Asking before something is done that can't be undone."""

import sys

from etl.errors import ConfigError

__all__ = ["confirm"]


def confirm(question: str) -> bool:
    """Ask on the terminal. Raises ConfigError where there is none."""
    if not sys.stdin.isatty():
        hint = "--yes answers it beforehand"
        raise ConfigError(f"there is no terminal to ask: {question} It can't be undone", hint)
    print(f"{question} It can't be undone. [y/N] ", end="", flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")
