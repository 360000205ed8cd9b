"""Hints name the program as it was started, and an extra as it can be installed."""

import ast
import sys
from pathlib import Path

import pytest

import etl
from etl import invocation
from etl.cli import build_parser
from etl.errors import ConfigError

MODULES = sorted(Path(etl.__file__).parent.rglob("*.py"))


@pytest.mark.parametrize(
    ("started", "name"),
    [
        ("/opt/gumloop-etl/bin/gumloop-etl", "gumloop-etl"),
        ("gumloop-etl.exe", "gumloop-etl"),
        ("/srv/gumloop-etl/etl/__main__.py", "python -m etl"),
        ("", "python -m etl"),
    ],
)
def test_the_program_is_named_as_it_was_started(
    started: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", [started])

    assert invocation.program_name() == name
    assert build_parser().prog == name


def test_an_extra_comes_from_the_checkout_or_from_the_index(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert invocation.install_hint("report") == "pip install '.[report]' in the project's folder"

    monkeypatch.setattr(invocation, "CHECKOUT", tmp_path)
    assert invocation.install_hint("report") == "pip install 'gumloop-etl[report]'"


def test_an_extra_that_is_not_installed_is_told_with_the_module_that_lacks() -> None:
    invocation.require_extra("lake", "lake", "json")

    with pytest.raises(ConfigError, match="the report needs nowhere_to_be, which isn't"):
        invocation.require_extra("report", "the report", "json", "nowhere_to_be")


def strings(path: Path) -> list[str]:
    """The text in a module's literals, docstrings left out."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    statements = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    constants = [node for node in ast.walk(tree) if isinstance(node, ast.Constant)]
    return [
        node.value
        for node in constants
        if isinstance(node.value, str) and id(node) not in statements
    ]


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_no_message_names_the_program_by_itself(path: Path) -> None:
    if path.stem == "invocation":
        return
    fixed = [text for text in strings(path) if "-m etl" in text or "pip install '." in text]

    assert [text for text in fixed if "etl.simulator" not in text] == []
