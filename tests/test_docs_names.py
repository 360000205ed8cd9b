"""Paths and names of the code that the docs mention exist."""

import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
FOLDERS = "etl|tests|docs|migrations"
ARCHITECTURE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")


@cache
def code() -> str:
    files = [*(ROOT / "etl").rglob("*.py"), *(ROOT / "migrations").rglob("*.py")]
    return "\n".join(path.read_text(encoding="utf-8") for path in files)


def paths(text: str) -> set[str]:
    found = re.findall(rf"(?<![\w/.~-])(?:{FOLDERS})/[\w./-]*\w/?", text)
    return set(found) - {"etl/docs/schema.md"}


def rows() -> list[tuple[str, str, str]]:
    """The rows of the page that name a file and functions in it."""
    cells = re.findall(r"^\|(.+)\| (`etl/\S+`) \| (.+?) \|", ARCHITECTURE, re.MULTILINE)
    return [(lead.strip(), file.strip("`"), names) for lead, file, names in cells]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_path_of_the_repository_that_a_page_names_exists(page: Path) -> None:
    assert [p for p in paths(page.read_text(encoding="utf-8")) if not (ROOT / p).exists()] == []


def test_every_file_of_the_route_defines_the_functions_beside_it() -> None:
    lacking = [
        (file, part)
        for _, file, names in rows()
        for name in re.findall(r"`([\w.]+)`", names)
        for part in name.split(".")
        if not re.search(rf"(def|class) {part}\b", (ROOT / file).read_text(encoding="utf-8"))
    ]

    assert lacking == []


def test_the_route_of_a_page_has_ten_steps() -> None:
    steps = [lead for lead, _, _ in rows() if lead.isdecimal()]

    assert steps == [str(number) for number in range(1, 11)]


@pytest.mark.parametrize("name", ["architecture.md", "design.md"])
def test_every_name_of_the_code_that_a_page_explains_exists(name: str) -> None:
    page = (ROOT / "docs" / name).read_text(encoding="utf-8")
    shapes = r"`((?:[A-Z][a-z]+){2,}|[A-Z]+(?:_[A-Z]+)+|[a-z]+(?:_[a-z]+)+)(?:\(\))?`"
    known = code() + (ROOT / "config.example.toml").read_text(encoding="utf-8")
    absent = {word for word in re.findall(shapes, page) if not re.search(rf"\b{word}\b", known)}

    assert absent == set()


def test_the_readme_has_at_most_200_lines() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 200


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_within_the_repository_leads_somewhere(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    broken = []
    for target in re.findall(r"\]\((?!https?:)([^)\s]+)\)", text):
        file, _, anchor = target.partition("#")
        path = (page.parent / file) if file else page
        if not path.exists() or (anchor and anchor not in anchors(path)):
            broken.append(target)

    assert broken == []


def anchors(page: Path) -> set[str]:
    """The headings of a page, as GitHub names them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    plain = (re.sub(r"[^\w\- ]", "", heading.lower()) for heading in headings)
    return {heading.replace(" ", "-") for heading in plain}
