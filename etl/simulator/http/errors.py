"""Errors of the API: the four documented body shapes, and HTML."""

import json
from collections.abc import Callable
from typing import Any

JsonObject = dict[str, Any]

HTML_ERROR = (
    b"<!DOCTYPE html><html><head><title>502 Bad Gateway</title></head>"
    b"<body><center><h1>502 Bad Gateway</h1></center><hr><center>nginx</center></body></html>"
)

TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    429: "rate_limit_error",
}


class ApiError(Exception):
    """An answer other than the one asked for.

    *shape* is the number of the body shape (1 to 4) in the order of the API's documentation.
    """

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        shape: int = 1,
        param: str | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.shape = shape
        self.param = param
        self.headers = headers or {}

    def body(self) -> bytes:
        """Return the JSON body in the shape of this error."""
        return json.dumps(SHAPES[self.shape](self)).encode()


def _make_nested(error: ApiError) -> JsonObject:
    inner: JsonObject = {
        "code": error.code,
        "message": error.message,
        "type": TYPES.get(error.status, "api_error"),
        "param": error.param,
        "details": {},
    }
    return {"error": inner, "trace_id": f"trace_{error.status}_{error.code}"}


def _make_flat(error: ApiError) -> JsonObject:
    metadata = {"minimum_tier": "pro"}
    return {"error": error.code, "message": error.message, "metadata": metadata}


def _make_bare(error: ApiError) -> JsonObject:
    return {"error": error.code}


def _make_oauth(error: ApiError) -> JsonObject:
    return {"error": error.code, "error_description": error.message}


SHAPES: dict[int, Callable[[ApiError], JsonObject]] = {
    1: _make_nested,
    2: _make_flat,
    3: _make_bare,
    4: _make_oauth,
}


def bad_request(code: str, message: str, param: str | None = None) -> ApiError:
    """Return a 400 about one query parameter."""
    return ApiError(400, code, message, param=param)


def not_found(what: str) -> ApiError:
    """Return a 404 that says *what* does not exist."""
    return ApiError(404, "not_found", f"{what} not found")
