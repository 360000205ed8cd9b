"""Scripted faults: what goes wrong, for which requests, how often. Plain data."""

import json
import re
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

# Every kind with the parameters it takes and their defaults.
KINDS: dict[str, dict[str, Any]] = {
    # An error answer. shape: 1 to 4 (the documented bodies), "html" or "empty".
    "status": {"status": 500, "shape": 1, "code": "internal_error", "message": "It broke.",
               "headers": {}},
    # The answer, worked out at once, is sent this much later. Adds to other faults.
    "latency": {"seconds": 0.1},
    # The connection is reset (RST). where: "before" or "middle" of the answer.
    "reset": {"where": "before"},
    # Content-Length promises the whole body, this fraction comes, the connection closes.
    "truncate": {"fraction": 0.5},
    # This fraction comes, then nothing for so long. then: "rest" or "close".
    "stall": {"seconds": 60.0, "fraction": 0.5, "then": "rest"},
    # A 200 that is no answer. form: a key of GARBAGE in bad_responses.
    "garbage": {"form": "html"},
    # A 200 whose body is an error of this shape.
    "error_200": {"shape": 1, "code": "internal_error", "message": "It broke."},
    # A 200 that is meant to take all memory: so many megabytes of a form of BOMBS below,
    # sent in this Content-Encoding ("gzip, gzip" is twice as small again).
    "bomb": {"form": "whitespace", "megabytes": 100, "encoding": "gzip"},
    # Records of lists and retrieves whose fields, named by their paths ("usage.credit_cost"),
    # come in other forms: see DRIFTS below. Strikes every record whose number in the answer
    # divides by *every*.
    "drift": {"fields": {}, "every": 1},
    # From here on: pages of a session list.
    "empty_page": {"keep_cursor": False},
    "missing_sessions": {},
    "null_cursor": {},
    "repeat_cursor": {},
    "aba_cursor": {},
    # Rows of another page of the list, next_cursor as it should be. where: "head" or "tail".
    "elsewhere": {"where": "head"},
    "other_agent": {"agent_id": None},
    "shuffle": {"seed": 1},
    # 400 invalid_cursor for a cursor that this regex finds (any, if empty).
    "refuse_cursor": {"cursor": "", "code": "invalid_cursor"},
    # The head page, its next_cursor too, whatever the cursor.
    "ignore_cursor": {},
}  # fmt: skip

# The values that a parameter may have, where not any will do.
CHOICES: dict[str, tuple[object, ...]] = {
    "shape": (1, 2, 3, 4, "html", "empty"),
    "then": ("rest", "close"),
    "form": ("html", "text", "broken_json", "empty_object", "empty_list", "null", "empty",
             "invalid_utf8", "texts", "wrong_types"),
    "encoding": ("identity", "gzip", "gzip, gzip", "br"),
}  # fmt: skip
BOMBS = ("whitespace", "brackets", "nested_record", "string", "tiny_records", "long_id")
DRIFTS = ("text", "number", "boolean", "words", "list", "object", "nan", "infinity", "seconds",
          "milliseconds", "id", "absent", "null")  # fmt: skip
WHERE = {"reset": ("before", "middle"), "elsewhere": ("head", "tail")}

LIST_KINDS = frozenset(list(KINDS)[list(KINDS).index("empty_page") :])
CURSOR_KINDS = frozenset(
    ("repeat_cursor", "aba_cursor", "elsewhere", "refuse_cursor", "ignore_cursor")
)


@dataclass(frozen=True, init=False)
class Fault:
    """One thing that goes wrong.

    *path* is a regex searched in path and query as sent. The first *after* requests that it
    finds go unharmed, the next *times* (None: all) do not. *params* are those of KINDS.
    Raises ValueError for an unknown kind or parameter.
    """

    kind: str
    path: str = ""
    after: int = 0
    times: int | None = 1
    params: Mapping[str, Any] = field(default_factory=dict)

    def __init__(
        self, kind: str, *, path: str = "", after: int = 0, times: int | None = 1, **params: Any
    ) -> None:
        if kind not in KINDS:
            raise ValueError(f"unknown kind of fault: {kind!r}; known: {', '.join(KINDS)}")
        if unknown := params.keys() - KINDS[kind].keys():
            raise ValueError(f"a fault of kind {kind!r} takes no {', '.join(sorted(unknown))}")
        whole = MappingProxyType({**KINDS[kind], **params})
        _check(kind, path, whole)
        values = {"kind": kind, "path": path, "after": after, "times": times, "params": whole}
        for name, value in values.items():
            object.__setattr__(self, name, value)


def _check(kind: str, path: str, params: Mapping[str, Any]) -> None:
    choices = {**CHOICES, "where": WHERE.get(kind, ())}
    choices |= {"form": BOMBS} if kind == "bomb" else {}
    for path_of_field, form in params.get("fields", {}).items():
        if form not in DRIFTS:
            raise ValueError(f"the form of {path_of_field!r} must be one of {DRIFTS}")
    for name in choices.keys() & params.keys():
        if params[name] not in choices[name]:
            raise ValueError(f"{name} of {kind!r} must be one of {choices[name]}")
    if kind == "error_200" and params["shape"] not in (1, 2, 3, 4):
        raise ValueError("shape of 'error_200' must be 1 to 4")
    for pattern in (path, params.get("cursor", "")):
        try:
            re.compile(pattern)
        except re.error as error:
            raise ValueError(f"{pattern!r} is no regex: {error}") from error


@dataclass(frozen=True)
class Target:
    """What a fault is matched against."""

    path: str
    is_list: bool = False
    cursor: str | None = None
    has_cursor_before: bool = False


@dataclass
class _Scripted:
    fault: Fault
    seen: int = 0
    fired: int = 0

    def concerns(self, target: Target) -> bool:
        """Tell whether the fault could strike this request at all."""
        kind = self.fault.kind
        return (
            (target.is_list or kind not in LIST_KINDS)
            and (target.cursor is not None or kind not in CURSOR_KINDS)
            and (target.has_cursor_before or kind != "aba_cursor")
            and (kind != "refuse_cursor" or self._refuses(target.cursor or ""))
            and re.search(self.fault.path, target.path) is not None
        )

    def _refuses(self, cursor: str) -> bool:
        return re.search(self.fault.params["cursor"], cursor) is not None

    @property
    def due(self) -> bool:
        """Whether the request that was seen last is one to strike."""
        left = self.fault.times is None or self.fired < self.fault.times
        return left and self.seen > self.fault.after


class FaultScript:
    """The faults of a simulator and how often each has struck. Safe for threads."""

    def __init__(self, faults: Iterable[Fault] = ()) -> None:
        self._lock = threading.Lock()
        self._scripted = [_Scripted(fault) for fault in faults]

    def add(self, *faults: Fault) -> None:
        """Append faults; of several that could strike a request, the first does."""
        with self._lock:
            self._scripted += [_Scripted(fault) for fault in faults]

    def clear(self) -> None:
        """Forget every fault."""
        with self._lock:
            self._scripted = []

    def __len__(self) -> int:
        return len(self._scripted)

    def list_fired(self) -> list[tuple[Fault, int]]:
        """Return each fault with the number of requests it has struck."""
        return [(entry.fault, entry.fired) for entry in self._scripted]

    def strike(self, target: Target) -> tuple[float, Fault | None]:
        """Return the latency in seconds and the fault, if any, that hit a request."""
        if not self._scripted:
            return 0.0, None
        with self._lock:
            return self._strike([entry for entry in self._scripted if entry.concerns(target)])

    def _strike(self, entries: list[_Scripted]) -> tuple[float, Fault | None]:
        latency, struck = 0.0, None
        for entry in entries:
            entry.seen += 1
            slows = entry.fault.kind == "latency"
            if not entry.due or (struck and not slows):
                continue
            entry.fired += 1
            latency += entry.fault.params["seconds"] if slows else 0
            struck = struck if slows else entry.fault
        return latency, struck


def parse_faults(objects: Any) -> list[Fault]:
    """Return the faults in decoded JSON: one object or a list of them.

    Raises ValueError for anything that is not a fault.
    """
    entries = objects if isinstance(objects, list) else [objects]
    try:
        return [Fault(**entry) for entry in entries]
    except TypeError as error:
        raise ValueError(f"not a fault: {error}") from error


def load_faults(path: Path) -> list[Fault]:
    """Return the faults in a JSON file."""
    return parse_faults(json.loads(path.read_text(encoding="utf-8")))
