"""`reconcile`: the whole history, proven anew."""

import argparse

from etl.cli.sync import modes

NAME = "reconcile"
HELP = "walk all history anew: repairs every stale row and marks missing ones"
configure = modes.configure


def run(args: argparse.Namespace) -> int:
    return modes.run_mode(args, "reconcile")
