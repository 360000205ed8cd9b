"""Everything that can go wrong, sorted by what the caller should do about it.

EtlError                    a sentence, with a hint where there is one
├── ConfigError             exit 2: usage, configuration, a credential that isn't there
├── StoreError              the database can't be used now
│   ├── SchemaMismatch      exit 2: its schema is older or newer than this program's
│   ├── ConcurrentWrite     other processes keep writing the same sessions
│   ├── LeaseHeld           another process works on this agent now
│   └── LeaseLost           another process has taken this agent over: write nothing more
├── ApiError                the API answered with an error, or not at all
│   ├── Transient           worth another try: network, 408, 425, 429, 5xx
│   ├── RetryLater          it asks for a longer wait than `api.max_wait`: ask nothing before
│   ├── Malformed           status 200, but not a response; worth another try
│   ├── CursorRefused       enter the list somewhere else
│   └── Denied              no retry helps: 401, 403, 404, and most other statuses
├── CutShort                the list ended, repeated or broke off before its end
│   └── OutOfPlace          a page has rows only where the pages before have shown all
├── LakeBusy                another process writes to the lake
└── Stopped                 a signal asked the run to end
"""

import errno
from typing import Final

NO_ROOM: Final = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""Errors of the system that mean a full disk, or a limit like one."""


class EtlError(Exception):
    """A failure in one sentence; `hint` says what to do."""

    exit_code = 1

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} ({self.hint})" if self.hint else self.message


class ConfigError(EtlError):
    """The command line, the configuration or the environment is at fault."""

    exit_code = 2


class StoreError(EtlError):
    """The database can't be opened, read or written."""


class SchemaMismatch(StoreError):
    """The database's schema is not the one that this program works with."""

    exit_code = 2


class LeaseHeld(StoreError):
    """Another process works on this agent; one at a time."""


class LeaseLost(StoreError):
    """Another process has taken over this agent; nothing more may be written for it."""


class ApiError(EtlError):
    """The API refused or failed a request; carries the status and what the body said."""

    def __init__(self, message: str, hint: str = "", *, status: int | None = None) -> None:
        super().__init__(message, hint)
        self.status = status


class Transient(ApiError):
    """The same request may succeed later; `retry_after`: seconds that the server asks for."""

    retry_after: float | None = None


class RetryLater(ApiError):
    """The server asks for a longer wait than we are willing to hold; `seconds` is that wait."""

    def __init__(self, message: str, hint: str, *, seconds: float, status: int | None) -> None:
        super().__init__(message, hint, status=status)
        self.seconds = seconds


class Malformed(ApiError):
    """A 200 whose body is not what the endpoint promises. It is never an end of history."""


class CursorRefused(ApiError):
    """The server won't go on from this cursor."""


class Denied(ApiError):
    """The credential may not do this, or the thing isn't there."""


class CutShort(EtlError):
    """The list broke off, repeated itself or jumped: rows may be missing beyond this point."""


class OutOfPlace(CutShort):
    """All rows of a page belong before those of the last one: one of the two is wrong."""


class Stopped(EtlError):
    """The run was asked to end; everything saved so far is kept."""

    exit_code = 130
