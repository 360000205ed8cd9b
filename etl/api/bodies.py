"""Reading a body in bounded memory and time, whatever it unpacks to.

httpx unpacks each chunk whole, and one encoding within another: 64 KiB may become 64 GB. So only
gzip is offered, it is undone here, and never further than a body may be large.
"""

import time
import zlib
from collections.abc import Iterator
from typing import Final

import httpx

from etl.errors import Malformed, Transient

LARGEST_LIST: Final = 8 * 2**20
"""Bytes of a page, unpacked: 80 KB for each of a hundred records, which take half a kilobyte."""

LARGEST_SESSION: Final = 32 * 2**20
"""Bytes of a session with its messages, which come whole: docs/operations.md has what it costs."""

LARGEST_ERROR: Final = 2**16

ACCEPT_ENCODING: Final = "gzip"
CHUNK: Final = 2**16
EITHER_FORMAT: Final = 32 + zlib.MAX_WBITS
"""Of gzip and zlib, whichever the data begin with."""


def read_response(what: str, response: httpx.Response, most: int, seconds: float) -> bytes:
    """The body of a success, see below; of an error, what can be read of it: its status counts."""
    if response.status_code == 200:
        return read_body_within(what, response, most, seconds)
    try:
        return read_body_within(what, response, LARGEST_ERROR, seconds)
    except (Malformed, Transient):
        return b""


def read_body_within(what: str, response: httpx.Response, most: int, seconds: float) -> bytes:
    """The whole body, unpacked. Raises Transient if it takes longer than so many seconds.

    Raises Malformed if it has more than `most` bytes, or is not packed as it says.
    """
    deadline = time.monotonic() + seconds
    chunks, size = [], 0
    for chunk in _unpack(what, response):
        chunks.append(chunk)
        size += len(chunk)
        if size > most:
            hint = "a smaller api.page_size may help" if most == LARGEST_LIST else ""
            raise Malformed(f"{what}: the response is larger than {_format_size(most)}", hint)
        if time.monotonic() > deadline:
            raise Transient(f"{what}: the response came too slowly")
    return chunks[0] if len(chunks) == 1 else b"".join(chunks)


def _unpack(what: str, response: httpx.Response) -> Iterator[bytes]:
    """The body in pieces of bounded size."""
    encoding = response.headers.get("content-encoding", "").strip().lower()
    if encoding in ("", "identity"):
        return response.iter_raw()
    if encoding not in ("gzip", "x-gzip", "deflate"):
        raise Malformed(f"{what}: the response is packed as {encoding!r:.40}, not as requested")
    return _inflate(what, response)


def _inflate(what: str, response: httpx.Response) -> Iterator[bytes]:
    inflater = zlib.decompressobj(EITHER_FORMAT)
    try:
        for packed in response.iter_raw():
            left = packed
            while left and not inflater.eof:
                yield inflater.decompress(left, CHUNK)
                left = inflater.unconsumed_tail
        yield inflater.flush(CHUNK)
    except zlib.error as error:
        raise Malformed(f"{what}: the response can't be unpacked: {error}") from None
    if not inflater.eof:
        raise Transient(f"{what}: the packed response breaks off")


def _format_size(size: int) -> str:
    return f"{size >> 20} MiB" if size >= 2**20 else f"{size >> 10} KiB"
