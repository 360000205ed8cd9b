"""`reconcile`: the whole history, proven anew."""

import argparse

from etl.cli.sync import common

NAME = "reconcile"
HELP = "walk all history anew: repairs every stale row and marks missing ones"


def configure(parser: argparse.ArgumentParser) -> None:
    common.configure(parser)


def run(args: argparse.Namespace) -> int:
    """Run a reconcile."""
    return common.run_mode(args, "reconcile")
