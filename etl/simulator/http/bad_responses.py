"""Answers and pages that faults put in the place of the right ones."""

import gzip
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from random import Random

from etl.simulator.http.drift import drift_record
from etl.simulator.http.errors import HTML_ERROR, ApiError, bad_request
from etl.simulator.http.faults import Fault
from etl.simulator.http.messages import Answer


@dataclass(frozen=True)
class Listing:
    """A page of sessions before it is encoded; *rows* None leaves out the key."""

    rows: list[bytes] | None
    next_cursor: str | None

    def answer(self) -> Answer:
        """Return the page as the API sends it."""
        cursor = json.dumps(self.next_cursor).encode()
        if self.rows is None:
            return Answer(200, b'{"next_cursor":' + cursor + b"}")
        body = b",".join(self.rows)
        return Answer(200, b'{"sessions":[' + body + b'],"next_cursor":' + cursor + b"}")


@dataclass(frozen=True)
class Scene:
    """What a fault of a page may draw on: cursors that were sent, and other pages."""

    fault: Fault
    cursor: str | None
    cursor_before: str | None
    head: Callable[[], Listing]
    tail: Callable[[], Listing]
    other_agent: Callable[[str | None], Listing]


def _empty(page: Listing, scene: Scene) -> Listing:
    return Listing([], page.next_cursor if scene.fault.params["keep_cursor"] else None)


def _lead_elsewhere(page: Listing, scene: Scene) -> Listing:
    other = scene.tail if scene.fault.params["where"] == "tail" else scene.head
    return replace(page, rows=other().rows)


def _show_other_agent(page: Listing, scene: Scene) -> Listing:
    return replace(page, rows=scene.other_agent(scene.fault.params["agent_id"]).rows)


def _shuffle(page: Listing, scene: Scene) -> Listing:
    rows = list(page.rows or ())
    Random(scene.fault.params["seed"]).shuffle(rows)
    # A short page may come out of the shuffle as it went in.
    return replace(page, rows=rows[::-1] if rows == page.rows else rows)


_DISTORTIONS: dict[str, Callable[[Listing, Scene], Listing]] = {
    "empty_page": _empty,
    "missing_sessions": lambda page, _: replace(page, rows=None),
    "null_cursor": lambda page, _: replace(page, next_cursor=None),
    "repeat_cursor": lambda page, scene: replace(page, next_cursor=scene.cursor),
    "aba_cursor": lambda page, scene: replace(page, next_cursor=scene.cursor_before),
    "elsewhere": _lead_elsewhere,
    "other_agent": _show_other_agent,
    "shuffle": _shuffle,
    "ignore_cursor": lambda _, scene: scene.head(),
    "drift": lambda page, scene: replace(
        page,
        rows=[drift_record(row, number, scene.fault) for number, row in enumerate(page.rows or ())],
    ),
}


def distort(page: Listing, scene: Scene) -> Listing:
    """Return *page* as the fault of *scene* leaves it."""
    distortion = _DISTORTIONS.get(scene.fault.kind)
    return distortion(page, scene) if distortion else page


HTML_TYPE = "text/html; charset=utf-8"
JSON_TYPE = "application/json"

GARBAGE: dict[str, tuple[bytes, str]] = {
    "html": (b"<html><body>Just a moment...</body></html>", HTML_TYPE),
    "text": (b"upstream connect error", "text/plain"),
    "broken_json": (b'{"sessions":[{"id":"sess_', JSON_TYPE),
    "empty_object": (b"{}", JSON_TYPE),
    "empty_list": (b"[]", JSON_TYPE),
    "null": (b"null", JSON_TYPE),
    "empty": (b"", JSON_TYPE),
    "invalid_utf8": (b'{"sessions":[{"id":"\xff\xfe\xc3("}],"next_cursor":null}', JSON_TYPE),
    "texts": (b'{"sessions":"x","agents":"x","agent":"x","teams":"x"}', JSON_TYPE),
    "wrong_types": (b'{"sessions":{"id":1},"next_cursor":7}', JSON_TYPE),
}


def make_bad_response(fault: Fault) -> Answer | None:
    """Return the answer that *fault* gives instead of any, or None if it does no such thing."""
    make = _WRONG_RESPONSES.get(fault.kind)
    return make(fault) if make else None


def _make_status(fault: Fault) -> Answer:
    status, shape = fault.params["status"], fault.params["shape"]
    headers = {name: str(value) for name, value in fault.params["headers"].items()}
    if shape == "html":
        return Answer(status, HTML_ERROR, {"Content-Type": HTML_TYPE, **headers})
    if shape == "empty":
        return Answer(status, b"", headers)
    return replace(_make_error_body(fault, status), headers=headers)


def _make_error_body(fault: Fault, status: int) -> Answer:
    params = fault.params
    error = ApiError(status, params["code"], params["message"], shape=params["shape"])
    return Answer(status, error.body())


def _make_garbage(fault: Fault) -> Answer:
    body, content_type = GARBAGE[fault.params["form"]]
    return Answer(200, body, {"Content-Type": content_type})


_BOMBS: dict[str, Callable[[int], tuple[bytes, bytes, bytes]]] = {
    "whitespace": lambda size: (b'{"sessions":[', b" " * size, b"]}"),
    "brackets": lambda size: (b"", b"[" * size, b""),
    "nested_record": lambda size: (
        b'{"sessions":[{"id":"deep","new":',
        b"[" * (size // 2) + b"]" * (size // 2),
        b'},{"id":"good"}]}',
    ),
    "string": lambda size: (b'{"sessions":[{"id":"x","name":"', b"x" * size, b'"}]}'),
    "tiny_records": lambda size: (b'{"sessions":[{}', b",{}" * (size // 3), b"]}"),
    "long_id": lambda size: (b'{"sessions":[{"id":"', b"x" * size, b'"}]}'),
}


@lru_cache(maxsize=4)
def _make_bomb_body(form: str, size: int, encoding: str) -> bytes:
    body = b"".join(_BOMBS[form](size))
    for _ in range(encoding.count("gzip")):
        body = gzip.compress(body, 1)
    return body


def _make_bomb(fault: Fault) -> Answer:
    params = fault.params
    size, encoding = int(params["megabytes"] * 2**20), params["encoding"]
    body = _make_bomb_body(params["form"], size, encoding)
    return Answer(200, body, {"Content-Type": JSON_TYPE, "Content-Encoding": encoding})


def _refuse_cursor(fault: Fault) -> Answer:
    return Answer(400, bad_request(fault.params["code"], "cursor is not valid", "cursor").body())


_WRONG_RESPONSES: dict[str, Callable[[Fault], Answer]] = {
    "status": _make_status,
    "garbage": _make_garbage,
    "bomb": _make_bomb,
    "error_200": lambda fault: replace(_make_error_body(fault, 500), status=200),
    "refuse_cursor": _refuse_cursor,
}
