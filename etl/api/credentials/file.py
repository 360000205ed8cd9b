"""A secret in a file that may be replaced while we work."""

import os
import threading
from pathlib import Path
from typing import Final

import msgspec

from etl.credentials import Credentials, secret_in
from etl.errors import ConfigError

NOTHING: Final = (0, 0, 0)


class SecretFile:
    """The credential in a file, read anew when the file changes.

    A file that vanishes, is empty or only half written changes nothing: the last good value stays.
    """

    def __init__(self, found: Credentials, file: Path) -> None:
        self._file = file
        self._lock = threading.Lock()
        self._current = found
        self._previous: Credentials | None = None
        # Unknown: the file may have changed since it was read.
        self._seen = NOTHING

    def __repr__(self) -> str:
        return f"SecretFile({str(self._file)!r})"

    @property
    def team_id(self) -> str | None:
        """The team that every request names."""
        return self._current.team_id

    def described(self) -> str:
        """Which kind of credential this is, in words."""
        return self._current.described()

    def current(self) -> Credentials:
        """The credential for the next request."""
        if self._look() != self._seen:
            with self._lock:
                self._read()
        return self._current

    def renew(self, used: Credentials) -> bool:
        """Read the file again after a 401. Returns whether there is another credential.

        A new value that is refused may be half of one: the one before it gets another chance.
        """
        with self._lock:
            if self._current is used:
                self._read()
            if self._current is used and self._previous is not None:
                self._current, self._previous = self._previous, None
            return self._current is not used

    def mark_refused(self, _used: Credentials) -> None:
        """The value before was refused, too: what the file holds goes first again."""
        with self._lock:
            self._seen = NOTHING

    def secrets(self) -> tuple[str, ...]:
        """What must not be shown."""
        return tuple(one.token for one in (self._current, self._previous) if one)

    def _read(self) -> None:
        seen = self._look()
        try:
            token = secret_in(self._file, self._current.name)
        except ConfigError:
            return
        if token is None or seen == NOTHING:
            return
        self._seen = seen
        if token != self._current.token:
            self._previous = self._current
            self._current = msgspec.structs.replace(self._current, token=token)

    def _look(self) -> tuple[int, int, int]:
        """What tells a changed file, for a microsecond a request."""
        try:
            found = os.stat(self._file)  # noqa: PTH116 - half the time of Path.stat
        except OSError:
            return self._seen
        return found.st_ino, found.st_mtime_ns, found.st_size
