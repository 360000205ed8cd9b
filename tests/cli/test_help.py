"""`--help` of every command, and what is no command at all."""

import argparse
import subprocess
from pathlib import Path

import pytest

from etl import __version__
from etl.cli import COMMANDS, GROUPS, build_parser
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


def test_the_groups_of_the_help_are_the_folders() -> None:
    folders = {name: [c.__name__.split(".")[-2] for c in group] for name, group in GROUPS.items()}

    wrong = {name: set(found) - {name} for name, found in folders.items() if {*found} != {name}}
    assert wrong == {}, "a command's folder is its group in GROUPS"


@pytest.mark.parametrize("words", [(), ("db",)], ids=" ".join)
def test_no_command_prints_the_help(etl: Command, words: tuple[str, ...]) -> None:
    done = etl(*words)

    assert done == etl(*words, "--help")
    assert (done.code, done.err) == (0, "")


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        ("synk", "sync"),
        ("Status", "status"),
        ("version", "--version"),
        ("db upgrad", "upgrade"),
        ("completion zhs", "zsh"),
        ("export --format parket", "parquet"),
        ("sync --agnt x", "--agent"),
        ("runs --limt=3", "--limit"),
        ("db upgrade --hlep", "--help"),
        ("--confg other.toml sync", "--config"),
    ],
)
def test_a_typo_is_told_what_was_meant(etl: Command, words: str, meant: str) -> None:
    done = etl(*words.split())

    assert (done.code, done.out) == (2, "")
    assert done.err.endswith(f"; did you mean {meant}?\n")


def test_a_word_that_is_like_none_is_told_what_there_is(etl: Command) -> None:
    assert f"there are {', '.join(NAMES)}\n" in etl("nonsense").err


def test_a_global_option_after_the_command_is_told_its_place(etl: Command) -> None:
    assert "put --config before the command" in etl("sync", "--config", "x.toml").err


COMPLETE = """
source "$1"
COMP_WORDS=("${@:2}") COMP_CWORD=$(($# - 2))
function=$(complete -p gumloop-etl | sed 's/.*-F \\([^ ]*\\).*/\\1/')
$function gumloop-etl "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
printf '%s\\n' "${COMPREPLY[@]}"
"""


@pytest.mark.parametrize(
    ("typed", "offered"),
    [("sy", "sync"), ("sync --ag", "--agent"), ("db tim", "timezone"), ("completion f", "fish")],
)
def test_bash_completes(etl: Command, tmp_path: Path, typed: str, offered: str) -> None:
    script = tmp_path / "completion"
    script.write_text(etl("completion", "bash").out)

    words = ["bash", "-c", COMPLETE, "bash", str(script), "gumloop-etl", *typed.split()]
    done = subprocess.run(words, check=False, capture_output=True, text=True, timeout=60)

    assert done.stdout.split() == [offered], done.stderr


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_completion_script_has_every_command(etl: Command, shell: str) -> None:
    done = etl("completion", shell)

    assert (done.code, done.err) == (0, "")
    assert [name for name in NAMES if name not in done.out] == []


def test_version(project: Project) -> None:
    assert project.run("--version").out == f"gumloop-etl {__version__}\n"


@pytest.mark.parametrize(
    "words",
    [
        ("nonsense",),
        ("sync", "--nonsense"),
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
