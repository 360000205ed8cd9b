"""The rules of an export: folders of ids, cells of spreadsheets, where the next one begins."""

import unicodedata
from urllib.parse import unquote

import pyarrow as pa
from hypothesis import example, given
from hypothesis import strategies as st

from etl.analytics.export.files import escape_formulas
from etl.analytics.export.rules import choose_since, name_folders

IDS = st.one_of(st.text(min_size=1, max_size=30), st.text(min_size=50, max_size=500))


def folder(id: str) -> str:
    return name_folders(id, "2026-05")[0]


@given(IDS)
@example("../../etc/passwd")
@example(".")
@example("a\0b")
@example("\N{GRINNING FACE}" * 500)
def test_any_id_makes_one_safe_folder(id: str) -> None:
    name = folder(id)

    assert name.isascii() and len(name) <= 255
    assert set(name) & set("/\\\0 :*?\"<>|'") == set()
    assert "~" in name or unquote(name) == f"agent={id}"


@given(st.lists(IDS, min_size=2, max_size=6, unique=True))
def test_two_ids_never_share_a_folder(ids: list[str]) -> None:
    assert len({folder(id) for id in ids}) == len(ids)


def test_no_id_can_pose_as_a_long_one() -> None:
    long = "x" * 1000
    posing = folder(long).removeprefix("agent=")

    assert folder(posing) != folder(long)


def runs_like_formula(text: str) -> bool:
    """As a spreadsheet sees it: invisible characters aside, full-width ones folded."""
    if text[:1] in ("\t", "\r", "\n"):
        return True
    invisible = ("Cc", "Cf", "Zl", "Zp", "Zs")
    seen = next((c for c in text if unicodedata.category(c) not in invisible), "")
    # Signs that are raised or lowered, and the Hebrew plus, are no operators.
    return unicodedata.normalize("NFKC", seen) in tuple("=+-@") and seen not in "⁺⁼₊₌﬩"


SPACES = st.text(" \t\r\n\N{NO-BREAK SPACE}\N{IDEOGRAPHIC SPACE}\ufeff\u200b\x01")
STARTS = st.sampled_from(
    [*"=+-@", "\uff1d", "\uff0b", "\uff0d", "\uff20", "\ufe66", "\ufe62", "\ufe63", "\ufe6b"]
)
CELLS = st.one_of(st.text(), st.builds(lambda *parts: "".join(parts), SPACES, STARTS, st.text()))


def one_cell(text: str) -> str:
    table = escape_formulas(pa.table({"cell": pa.array([text], pa.string())}))
    return str(table["cell"][0].as_py())


@given(CELLS)
@example("=cmd|' /C calc'!A0")
@example("\N{ZERO WIDTH NO-BREAK SPACE}\N{IDEOGRAPHIC SPACE}\N{FULLWIDTH EQUALS SIGN}1+1")
def test_no_text_cell_runs_in_a_spreadsheet(text: str) -> None:
    cell = one_cell(text)
    clean = text.replace("\0", "\N{REPLACEMENT CHARACTER}")

    assert cell in (clean, f"'{clean}")
    assert not runs_like_formula(cell)


@given(st.text(st.characters(categories=("L", "N")), min_size=1), st.text("=+-@ a"))
def test_ordinary_text_is_left_alone(start: str, rest: str) -> None:
    assert one_cell(start + rest) == start + rest


def test_the_next_export_begins_at_the_newest_run() -> None:
    assert choose_since(None, []) is None
    assert choose_since(None, [7, 6, 5]) == 7


def test_the_next_export_begins_at_a_run_that_is_not_done() -> None:
    assert choose_since(5, [7, 6, 5]) == 5


def test_the_next_export_begins_below_a_number_that_lacks() -> None:
    assert choose_since(None, [9, 8, 6, 5]) == 6
    assert choose_since(None, [9, 7, 5, 4]) == 5
    assert choose_since(8, [9, 8, 6, 5]) == 6


@given(st.sets(st.integers(1, 40), min_size=1), st.sets(st.integers(1, 40)))
def test_no_run_that_may_still_write_is_above_where_the_next_export_begins(
    shown: set[int], running: set[int]
) -> None:
    running &= shown
    begin = choose_since(min(running, default=None), sorted(shown, reverse=True))

    assert begin is not None and begin in shown
    unseen = set(range(min(shown), max(shown))) - shown
    assert all(run >= begin for run in running | unseen)
