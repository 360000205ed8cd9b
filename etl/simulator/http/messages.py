"""HTTP messages: requests parsed from bytes, answers written to bytes."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from urllib.parse import parse_qsl, unquote

MAX_HEAD = 65_536
MAX_BODY = 64 * 1024 * 1024


class MalformedRequestError(Exception):
    """Bytes that are no request this server can read; the connection must close."""


class Request:
    """A request as it was sent; header names are in lower case.

    *path* and *query* are percent-encoded as sent. *segments* are the parts of the path, each
    decoded by itself; of a repeated parameter in *params* the last counts.
    """

    __slots__ = (
        "body", "headers", "keep_alive", "method", "params", "path", "query", "segments", "target"
    )  # fmt: skip

    def __init__(
        self,
        method: str,
        target: str,
        headers: Mapping[str, str],
        body: bytes = b"",
        keep_alive: bool = True,
    ) -> None:
        self.method = method
        self.target = target
        self.headers = headers
        self.body = body
        self.keep_alive = keep_alive
        self.path, _, self.query = target.partition("?")
        self.params = dict(parse_qsl(self.query, keep_blank_values=True))
        self.segments = [unquote(part) for part in self.path.split("/")[1:]]


@dataclass(frozen=True)
class Answer:
    """A response but for its framing."""

    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)

    def head(self, *, keep_alive: bool = True) -> bytes:
        """Return the status line and the headers, up to the blank line and with it."""
        lines = [f"HTTP/1.1 {self.status} {_name_reason(self.status)}"]
        if "Content-Type" not in self.headers:
            lines.append("Content-Type: application/json")
        lines += [f"{name}: {value}" for name, value in self.headers.items()]
        lines.append(f"Content-Length: {len(self.body)}")
        if not keep_alive:
            lines.append("Connection: close")
        return "\r\n".join([*lines, "", ""]).encode("latin-1")


def _name_reason(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Unknown"


def take_request(buffer: bytearray) -> Request | None:
    """Take the first whole request out of *buffer*; None if more bytes must come.

    Raises MalformedRequestError for bytes that can't become a request.
    """
    end = buffer.find(b"\r\n\r\n", 0, MAX_HEAD)
    if end < 0:
        if len(buffer) > MAX_HEAD:
            raise MalformedRequestError("the head is too long")
        return None
    method, target, version, headers = _parse_head(bytes(buffer[:end]))
    length = _read_body_length(headers)
    if len(buffer) < end + 4 + length:
        return None
    body = bytes(buffer[end + 4 : end + 4 + length])
    del buffer[: end + 4 + length]
    wish = headers.get("connection", "").lower()
    keep_alive = wish == "keep-alive" if version == "HTTP/1.0" else wish != "close"
    return Request(method, target, headers, body, keep_alive)


def _parse_head(head: bytes) -> tuple[str, str, str, dict[str, str]]:
    first, *rest = head.decode("latin-1").split("\r\n")
    words = first.split(" ")
    if len(words) != 3 or not words[2].startswith("HTTP/1."):
        raise MalformedRequestError("no HTTP/1 request line")
    headers = {}
    for line in rest:
        name, _, value = line.partition(":")
        headers[name.lower()] = value.strip()
    return words[0], words[1], words[2], headers


def _read_body_length(headers: Mapping[str, str]) -> int:
    if "transfer-encoding" in headers:
        raise MalformedRequestError("chunked requests are not read here")
    text = headers.get("content-length", "0")
    if not text.isdigit() or int(text) > MAX_BODY:
        raise MalformedRequestError("no usable Content-Length")
    return int(text)
