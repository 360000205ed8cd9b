"""`sync`: one incremental run."""

import argparse

from etl.cli import syncing

NAME = "sync"
HELP = "one incremental run: what is new, and whatever is still missing below"


def configure(parser: argparse.ArgumentParser) -> None:
    """Options."""
    syncing.configure(parser)
    parser.add_argument(
        "--explain", action="store_true", help="print the plan and send nothing to the API"
    )


def run(args: argparse.Namespace) -> int:
    """Run it."""
    if args.explain:
        from etl.cli.explain import explain

        return explain(args)
    return syncing.run_mode(args, "incremental")
