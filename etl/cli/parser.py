"""The command line's parser: what it suggests for a typo, and its help by groups."""

import argparse
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from etl.wording import suggest


class Parser(argparse.ArgumentParser):
    """Says what a mistyped word or option was probably meant to be."""

    def require_known_options(self, argv: Sequence[str]) -> None:
        """Leave with an error if the first word is no option of ours, though it looks like one.

        Its value would be taken for the command.
        """
        first = argv[0].partition("=")[0] if argv else ""
        if first.startswith("-") and not any(one.startswith(first) for one in self.list_options()):
            self.error(self.describe_unknown([first]))

    def describe_unknown(self, words: Sequence[str], above: Iterable[str] = ()) -> str:
        """What to say of words that are left over; `above` are the program's own options."""
        message = f"unrecognized arguments: {' '.join(words)}"
        first = words[0].partition("=")[0]
        if first in above:
            return f"{message}; put {first} before the command"
        close = suggest(first, self.list_options()) if first.startswith("-") else None
        return f"{message}; did you mean {close}?" if close else message

    def list_options(self) -> list[str]:
        """Every option, such as `--help`."""
        return list(self._option_string_actions)

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        """Python's own sentence lists all choices and suggests none."""
        if action.choices is None or value in action.choices:
            return
        known = list(map(str, action.choices))
        is_option = f"--{value}" in self.list_options()
        close = f"--{value}" if is_option else suggest(str(value), known)
        hint = f"did you mean {close}?" if close else f"there are {', '.join(known)}"
        if isinstance(action, argparse._SubParsersAction):
            kind = str(action.metavar).lower()
            raise argparse.ArgumentError(None, f"there is no {kind} {value!r:.80}; {hint}")
        raise argparse.ArgumentError(action, f"{value!r:.80} is not a choice; {hint}")


def group_help(groups: Mapping[str, Sequence[str]]) -> type[argparse.HelpFormatter]:
    """A form of help that lists commands under the names of their groups."""

    class GroupedHelp(argparse.HelpFormatter):
        def _format_action(self, action: argparse.Action) -> str:
            if not isinstance(action, argparse._SubParsersAction):
                return super()._format_action(action)
            commands = {one.dest: one for one in action._get_subactions()}
            parts = []
            for title, names in groups.items():
                parts.append(f"{'':{self._current_indent}}{title}:\n")
                self._indent()
                parts += [super(GroupedHelp, self)._format_action(commands[n]) for n in names]
                self._dedent()
            return "".join(parts)

    return GroupedHelp
