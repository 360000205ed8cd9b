"""What a search looks for, and the snippet that shows it."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from etl.errors import ConfigError
from etl.planning.search_terms import MOST_CHARACTERS, find_snippet, parse_phrases


@pytest.mark.parametrize(
    ("arguments", "wanted"),
    [
        (["refund", "Card"], ["refund", "Card"]),
        (["credit card"], ["credit card"]),
        (['refund "credit card" now'], ["refund", "credit card", "now"]),
        (['"open quote'], ["open quote"]),
        (["a", "a"], ["a"]),
        (["***", '""', "(", "-"], []),
        (["AND", "NEAR(x"], ["AND", "NEAR(x"]),
        (["a\0b", "\udce9"], ["a b"]),
    ],
)
def test_words_and_phrases(arguments: list[str], wanted: list[str]) -> None:
    assert parse_phrases(arguments) == wanted


def test_too_long_a_search_is_refused() -> None:
    assert parse_phrases(["x" * MOST_CHARACTERS])
    with pytest.raises(ConfigError, match="500"):
        parse_phrases(["x" * MOST_CHARACTERS, "y"])


@given(st.lists(st.text(max_size=20), max_size=10))
def test_any_words_can_be_looked_for(arguments: list[str]) -> None:
    found = parse_phrases(arguments)

    assert all(any(c.isalnum() for c in phrase) for phrase in found)
    assert not any("\0" in phrase for phrase in found)
    "".join(found).encode()


@given(st.text(max_size=300), st.lists(st.text(max_size=8), max_size=3), st.integers(1, 120))
@example("x " * 200 + "needle", ["needle"], 80)
def test_a_snippet_is_short_and_marks_what_is_there(
    text: str, looked_for: list[str], width: int
) -> None:
    found = find_snippet(text, parse_phrases(looked_for), width)

    assert 0 <= found.begin <= found.end <= len(found.text)
    assert len(found.text) <= width + 32
    assert "\n" not in found.text


@pytest.mark.parametrize("width", [16, 40, 80])
def test_a_hit_stands_in_the_first_half_of_its_snippet(width: int) -> None:
    found = find_snippet("before " * 99 + "needle" + " after" * 99, ["needle"], width)

    assert found.begin < width / 2


@given(st.text("ab é\n", max_size=80), st.text("ab é\n", max_size=80))
def test_the_first_whole_word_is_marked_whatever_surrounds_it(before: str, after: str) -> None:
    text = f"{before} Needle,{after} needle"

    found = find_snippet(text, ["needle"], 40)

    assert found.text[found.begin : found.end] == "Needle"


def test_a_phrase_is_marked_over_the_signs_within() -> None:
    found = find_snippet("Pay by credit -\n card!", ["credit card"], 40)

    assert found.text[found.begin : found.end] == "credit - card"


def test_a_part_of_a_word_is_not_marked() -> None:
    assert find_snippet("needless", ["needle"], 40)[1:] == (0, 0)
