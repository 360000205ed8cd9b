"""`--help` of every command, and what is no command at all."""

import argparse

import pytest

from etl import __version__
from etl.cli import COMMANDS, build_parser
from tests.cli.conftest import Command
from tests.process.project import Project

NAMES = [command.NAME for command in COMMANDS]


def test_every_command_of_the_design_is_there() -> None:
    wanted = "demo init check sync backfill reconcile run status runs list db"

    assert set(wanted.split()) <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_every_command_has_help(etl: Command, name: str) -> None:
    done = etl(name, "--help")

    assert (done.code, done.err) == (0, "")
    assert done.out.startswith(f"usage: python -m etl {name}")


@pytest.mark.parametrize("name", ["upgrade", "current", "downgrade"])
def test_every_action_of_db_has_help(etl: Command, name: str) -> None:
    assert etl("db", name, "--help").code == 0


def test_every_option_says_what_it_does() -> None:
    assert [option for option in _options(build_parser()) if not option.help] == []


def test_help_lists_every_command(project: Project) -> None:
    done = project.run("--help")

    assert done.code == 0
    assert [name for name in NAMES if f"\n    {name}" not in done.out] == []


def test_version(project: Project) -> None:
    assert project.run("--version").out == f"gumloop-etl {__version__}\n"


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("nonsense",),
        ("sync", "--nonsense"),
        ("db",),
        ("db", "sideways"),
        ("list",),
        ("sync", "--agent"),
        ("runs", "--limit", "many"),
    ],
    ids=" ".join,
)
def test_wrong_usage_is_exit_code_2(etl: Command, words: tuple[str, ...]) -> None:
    done = etl(*words)

    assert (done.code, done.out) == (2, "")
    assert "usage: " in done.err


def _options(parser: argparse.ArgumentParser) -> list[argparse.Action]:
    found: list[argparse.Action] = []
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            found += [option for sub in action.choices.values() for option in _options(sub)]
        else:
            found.append(action)
    return found
