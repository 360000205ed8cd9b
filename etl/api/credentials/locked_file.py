"""Secrets in files that several processes share: one renews at a time, and none is half written."""

import contextlib
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Final

from etl.errors import EtlError, Transient

PRIVATE_MODE: Final = 0o600
RESERVED_BYTES: Final = 16_384
"""Set aside before a token is requested: a full disk must not lose it."""

LOCK_PAUSE: Final = 0.05
"""Seconds between two tries to take a lock."""


@contextmanager
def hold_lock(file: Path, pause: Callable[[float], None], patience: float) -> Iterator[None]:
    """Hold the lock beside a file; a holder that dies lets it go.

    `pause` waits some seconds, and may raise. Raises Transient after `patience` seconds, EtlError
    if the lock can't be made.
    """
    import fcntl

    lock = file.with_name(f"{file.name}.lock")
    try:
        descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, PRIVATE_MODE)
    except OSError as error:
        raise _make_write_error(lock, error) from None
    give_up = time.monotonic() + patience
    try:
        while not _try_lock(fcntl, descriptor):
            if time.monotonic() > give_up:
                raise Transient(f"another process has held the lock of {file} for {patience:.0f} s")
            pause(LOCK_PAUSE)
        yield
    finally:
        os.close(descriptor)


def _try_lock(fcntl: Any, descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


class NewFile:
    """What shall take a file's place, made before its content is known.

    Only the holder of the lock makes one, so a fixed name suffices.
    """

    def __init__(self, target: Path) -> None:
        self._target = target
        self.path = target.with_name(f".{target.name}.new")
        self._file = self._open()

    def _open(self) -> IO[bytes]:
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            file = os.fdopen(os.open(self.path, flags, PRIVATE_MODE), "wb")
        except OSError as error:
            raise _make_write_error(self.path, error) from None
        try:
            self._prepare(file)
        except OSError as error:
            with contextlib.suppress(OSError):
                file.close()
            self.path.unlink(missing_ok=True)
            raise _make_write_error(self.path, error) from None
        return file

    def _prepare(self, file: IO[bytes]) -> None:
        """Private, of the same owner where we may, and with room."""
        os.fchmod(file.fileno(), PRIVATE_MODE)
        with contextlib.suppress(OSError):
            owner = self._target.stat()
            os.fchown(file.fileno(), owner.st_uid, owner.st_gid)
        file.write(bytes(RESERVED_BYTES))
        file.flush()
        file.seek(0)

    def put(self, content: bytes) -> None:
        """Write the content and put the file in its place; a crash leaves the old or the new."""
        with self._file as file:
            file.write(content)
            file.flush()
            file.truncate(len(content))
            os.fsync(file.fileno())
        self.path.replace(self._target)
        folder = os.open(self._target.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def drop(self) -> None:
        """Remove it, unless it has taken its place."""
        self._file.close()
        self.path.unlink(missing_ok=True)


@contextmanager
def replace_file(target: Path) -> Iterator[NewFile]:
    """A new file in the folder of `target`, gone afterwards unless `put`. Raises EtlError."""
    new = NewFile(target)
    try:
        yield new
    finally:
        new.drop()


def _make_write_error(path: Path, error: OSError) -> EtlError:
    hint = "a renewed token may replace the old one, so its folder must be writable"
    return EtlError(f"{path} can't be written: {error.strerror}", hint)
