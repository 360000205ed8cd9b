"""`reconcile`: the whole history, proven anew."""

import argparse

from etl.cli import syncing

NAME = "reconcile"
HELP = "walk all history anew: repairs every stale row and marks missing ones"


def configure(parser: argparse.ArgumentParser) -> None:
    """Options."""
    syncing.configure(parser)


def run(args: argparse.Namespace) -> int:
    """Run it."""
    return syncing.run_mode(args, "reconcile")
