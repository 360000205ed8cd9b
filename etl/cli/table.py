"""Tables that fit the terminal: what matters least is left out before anything is cut short."""

import sys
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from rich.text import Text

AS_WIDE_AS_NEEDED: Final = 1_000_000
GAP: Final = 2
JOINERS: Final = "\N{ZERO WIDTH NON-JOINER}\N{ZERO WIDTH JOINER}"
NARROWEST: Final = 14
"""Characters that a column with long texts keeps as long as there are others to leave out."""


def print_table(
    columns: Sequence[str],
    rows: Iterable[Sequence[object]],
    *,
    elastic: Collection[str] = (),
    spare: Sequence[str] = (),
) -> list[str]:
    """Print a table that fits the terminal; piped, it is whole.

    Where there isn't room, columns without a value are left out, then `spare` ones, the first one
    first, and `elastic` ones are cut short. Returns the names of those that are shown.
    """
    from rich.cells import cell_len
    from rich.console import Console
    from rich.table import Table

    console = Console(width=None if sys.stdout.isatty() else AS_WIDE_AS_NEEDED)
    rows = list(rows)
    values = {name: [row[n] for row in rows] for n, name in enumerate(columns)}
    cells = {name: [_make_cell(value) for value in column] for name, column in values.items()}
    texts = {name: [cell.plain for cell in column] for name, column in cells.items()}
    widths = {name: max(map(cell_len, [name, *column])) for name, column in texts.items()}
    empty = [name for name, column in texts.items() if column and not any(column)]
    fit = fit_columns(widths, console.width, elastic, list(dict.fromkeys([*empty, *spare])))
    table = Table(box=None, pad_edge=False)
    for name, width in fit.items():
        justify = _justify(values[name])
        table.add_column(name, justify=justify, width=width, no_wrap=True, overflow="ellipsis")
    for row in zip(*(cells[name] for name in fit), strict=True):
        table.add_row(*row)
    console.print(table)
    if left_out := [name for name in columns if name not in fit]:
        print(f"(columns left out: {', '.join(left_out)})")
    return list(fit)


def fit_columns(
    widths: Mapping[str, int], room: int, elastic: Collection[str], spare: Sequence[str]
) -> dict[str, int]:
    """The columns that are shown, each with its width, given the widths that they need.

    The sum, with a gap between two, is at most `room`, if that has two characters a column.
    """
    least = {
        name: min(width, NARROWEST) if name in elastic else width for name, width in widths.items()
    }
    for name in spare:
        if _sum_widths(least.values()) <= room:
            break
        least.pop(name)
    fit = {name: widths[name] for name in least}
    for cut, bound in ((elastic, NARROWEST), (list(fit), 1)):
        while _sum_widths(fit.values()) > room and (wide := [n for n in fit if n in cut]):
            widest = max(wide, key=lambda name: fit[name])
            if fit[widest] <= bound:
                break
            fit[widest] -= 1
    return fit


def make_printable(text: str) -> str:
    """Replace what can't be printed: no control character of a name may reach the terminal.

    Joiners stay: scripts and emoji need them, and they move nothing.
    """
    return "".join(
        char if char.isprintable() or char in JOINERS else "\N{REPLACEMENT CHARACTER}"
        for char in text
    )


def _sum_widths(widths: Collection[int]) -> int:
    return sum(widths) + GAP * (len(widths) - 1)


def _make_cell(value: object) -> "Text":
    from rich.text import Text

    return value if isinstance(value, Text) else Text(make_printable(str(value)))


def _justify(values: Sequence[object]) -> Literal["left", "right"]:
    are_numbers = values and all(isinstance(value, int | float) for value in values)
    return "right" if are_numbers else "left"
