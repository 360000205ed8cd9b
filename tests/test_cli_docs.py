"""docs/cli.md names every command and option of the parser, every field of a run, and no other."""

import argparse
import json
import re
from pathlib import Path

from etl.cli import build_parser
from etl.cli.common import report_json
from etl.models import AgentReport

PAGE = (Path(__file__).parents[1] / "docs" / "cli.md").read_text(encoding="utf-8")
HELP = {"-h", "--help"}


def section(title: str) -> str:
    """What stands under a heading, up to the next one."""
    found = re.search(rf"^#+ {title}\n(.*?)(?=^#|\Z)", PAGE, re.MULTILINE | re.DOTALL)
    assert found, f"docs/cli.md has no section {title!r}"
    return found[1]


def documented(text: str) -> set[str]:
    """The options in the tables of a section, by their names alone."""
    after_head = text.partition("| option | meaning |\n")[2].partition("\n\n")[0]
    cells = re.findall(r"^\| (`.+?) \|", after_head, re.MULTILINE)
    return {name for cell in cells for name in re.findall(r"`(\S+?)(?: \S+)?`", cell)}


def parts(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    """The commands of a parser, by name; none if it has no commands."""
    groups = [a for a in parser._actions if isinstance(a, argparse._SubParsersAction)]
    return dict(groups[0].choices) if groups else {}


def options(parser: argparse.ArgumentParser) -> set[str]:
    """Every option, and every argument by the word that the help shows."""
    found: set[str] = set()
    for action in parser._actions:
        if not isinstance(action, argparse._SubParsersAction):
            found |= set(action.option_strings or [str(action.metavar or action.dest).upper()])
    return found - HELP


def commands() -> dict[str, argparse.ArgumentParser]:
    """Every command that can be typed, `db upgrade` and its like by both words."""
    found: dict[str, argparse.ArgumentParser] = {}
    for name, parser in parts(build_parser()).items():
        inner = parts(parser)
        found |= {f"{name} {word}": one for word, one in inner.items()} or {name: parser}
    return found


def test_the_page_has_every_command_and_no_other() -> None:
    headings = re.findall(r"^### (.+)$", PAGE, re.MULTILINE)

    assert sorted(headings) == sorted(commands()), "docs/cli.md has a section for each command"


def test_the_page_has_every_option_of_each_command_and_no_other() -> None:
    for name, parser in commands().items():
        assert documented(section(name)) == options(parser), name


def test_the_page_has_the_global_options() -> None:
    assert documented(section("Global options")) - HELP == options(build_parser())


def test_options_that_are_shared_by_a_group_have_a_place_on_the_page() -> None:
    for name, parser in parts(build_parser()).items():
        assert not parts(parser) or options(parser) == set(), f"{name} has options of its own"


def test_the_page_has_every_field_of_a_run() -> None:
    text = section("The JSON of a run")
    run = json.loads(report_json([AgentReport("a", "incremental")], "succeeded"))
    fields = set(run) | {f"agents[].{name}" for name in run["agents"][0]}
    sample = json.loads(text.split("```json\n")[1].split("```")[0])

    assert set(re.findall(r"^\| `(.+?)` \|", text, re.MULTILINE)) == fields
    assert list(sample["agents"][0]) == list(run["agents"][0])
