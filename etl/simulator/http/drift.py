"""Records whose fields come in other forms than documented."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from etl.simulator.http.faults import Fault

GONE = object()


def _parse_instant(text: str) -> datetime:
    instant = datetime.fromisoformat(text.replace("Z", "+00:00"))
    return instant if instant.tzinfo else instant.replace(tzinfo=UTC)


_FORMS: dict[str, Callable[[Any], Any]] = {
    "text": str,
    "number": lambda _: 7,
    "boolean": lambda _: True,
    "words": lambda _: "n/a",
    "list": lambda _: [],
    "object": lambda _: {},
    "nan": lambda _: float("nan"),
    "infinity": lambda _: float("inf"),
    "seconds": lambda text: int(_parse_instant(text).timestamp()),
    "milliseconds": lambda text: round(_parse_instant(text).timestamp() * 1000),
    "id": lambda person: person.get("id"),
    "absent": lambda _: GONE,
    "null": lambda _: None,
}


def drift_record(record: bytes, number: int, fault: Fault) -> bytes:
    """Return *record*, the one of that *number* in its answer, as *fault* has it drift."""
    if number % fault.params["every"]:
        return record
    whole = json.loads(record)
    for path, form in fault.params["fields"].items():
        _change(whole, path, form)
    return json.dumps(whole, ensure_ascii=False).encode()


def _change(record: Any, path: str, form: str) -> None:
    *outer, name = path.split(".")
    for key in outer:
        record = record.get(key) if isinstance(record, dict) else None
    if not isinstance(record, dict) or record.get(name) is None:
        return
    changed = _FORMS[form](record[name])
    if changed is GONE:
        del record[name]
    else:
        record[name] = changed
