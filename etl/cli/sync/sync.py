"""`sync`: one incremental run."""

import argparse

from etl.cli.sync import modes

NAME = "sync"
HELP = "one incremental run: what is new, and whatever is still missing below"


def configure(parser: argparse.ArgumentParser) -> None:
    modes.configure(parser)
    parser.add_argument(
        "--explain", action="store_true", help="print the plan and send nothing to the API"
    )


def run(args: argparse.Namespace) -> int:
    if args.explain:
        from etl.cli.sync.explain import explain

        return explain(args)
    return modes.run_mode(args, "incremental")
