"""`completion`: what a shell needs to complete commands and options."""

import argparse
from collections.abc import Iterator

NAME = "completion"
HELP = "print the completion script of gumloop-etl for a shell"
SHELLS = ("bash", "zsh", "fish")
SCRIPT = "gumloop-etl"


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("shell", metavar="SHELL", choices=SHELLS, help="bash, zsh or fish")


def run(args: argparse.Namespace) -> int:
    import shtab

    parser = args.program
    parser.prog = SCRIPT
    kinds = {"FILE": shtab.FILE, "DIR": shtab.DIRECTORY}
    for action in _list_actions(parser):
        if action.metavar in kinds:
            # shtab's own attribute, which argparse doesn't know.
            action.complete = kinds[str(action.metavar)]  # type: ignore[attr-defined]
    print(shtab.complete(parser, args.shell))
    return 0


def _list_actions(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    """Every option and argument, those of the commands too."""
    for action in parser._actions:
        yield action
        if isinstance(action, argparse._SubParsersAction):
            for one in action.choices.values():
                yield from _list_actions(one)
