"""A secret in a file that may be replaced while we work."""

import os
import threading
from pathlib import Path
from typing import Final

import msgspec

from etl.credentials import Credentials, CredentialSource, read_secret
from etl.errors import ConfigError

UNKNOWN_STATE: Final = (0, 0, 0)


class SecretFile(CredentialSource):
    """The credential in a file, read anew when the file changes.

    A file that vanishes, is empty or only half written changes nothing: the last good value stays.
    """

    def __init__(self, credentials: Credentials, file: Path) -> None:
        self.team_id = credentials.team_id
        self._file = file
        self._lock = threading.Lock()
        self._current = credentials
        self._previous: Credentials | None = None
        # The file may have changed since it was read.
        self._seen = UNKNOWN_STATE

    def __repr__(self) -> str:
        return f"SecretFile({str(self._file)!r})"

    def get_current(self) -> Credentials:
        """The credential for the next request."""
        if self._read_state() != self._seen:
            with self._lock:
                self._reload()
        return self._current

    def renew(self, used: Credentials) -> bool:
        """Read the file again after a 401. Returns whether there is another credential.

        A new value that is refused may be half of one: the one before it gets another chance.
        """
        with self._lock:
            if self._current is used:
                self._reload()
            if self._current is used and self._previous is not None:
                self._current, self._previous = self._previous, None
            return self._current is not used

    def mark_refused(self, _used: Credentials) -> None:
        """The value before was refused, too: what the file holds goes first again."""
        with self._lock:
            self._seen = UNKNOWN_STATE

    def list_secrets(self) -> tuple[str, ...]:
        """What must not be shown."""
        return tuple(known.token for known in (self._current, self._previous) if known)

    def _reload(self) -> None:
        state = self._read_state()
        try:
            token = read_secret(self._file, self._current.name)
        except ConfigError:
            return
        if token is None or state == UNKNOWN_STATE:
            return
        self._seen = state
        if token != self._current.token:
            self._previous = self._current
            self._current = msgspec.structs.replace(self._current, token=token)

    def _read_state(self) -> tuple[int, int, int]:
        """What tells a changed file, for a microsecond a request."""
        try:
            status = os.stat(self._file)  # noqa: PTH116 - half the time of Path.stat
        except OSError:
            return self._seen
        return status.st_ino, status.st_mtime_ns, status.st_size
