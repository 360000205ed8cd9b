"""The folder of an export: everything in it changes at once, at the end, or nothing does.

Files are written into a hidden folder inside it. Only when all of them are safe on disk do they
take the place of what an earlier export left; `manifest.json` goes first and comes last. A folder
without it is not a whole export.
"""

import fcntl
import json
import os
import re
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from etl import __version__
from etl.errors import NO_ROOM, ConfigError, EtlError

MANIFEST: Final = "manifest.json"
PARTIAL: Final = ".export-partial"
PROGRAM: Final = "gumloop-etl"
ENDINGS: Final = ("", ".parquet", ".csv")
PART: Final = re.compile(r"part-\d+\.parquet")


@contextmanager
def replace_folder(folder: Path, names: Iterable[str]) -> Iterator[Path]:
    """A hidden folder to write into, whose content takes the place of the folder's at the end.

    `names` are the tables that an earlier export may have left there. Raises ConfigError for a
    folder that can't be one of exports, EtlError if there is no room.
    """
    with _translate_folder_errors(folder):
        if made := not folder.exists():
            folder.mkdir(parents=True)
        lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        _lock_folder(lock, folder)
        with _translate_folder_errors(folder):
            partial = _make_partial(folder, names)
        with _remove_leftovers(folder, made), _translate_write_errors(folder):
            yield partial
            _swap_files(folder, partial, names)
    finally:
        os.close(lock)


def put_manifest(folder: Path, content: dict[str, Any]) -> dict[str, Any]:
    """Write what was exported beside it, and return it."""
    content = {"program": PROGRAM, "version": __version__, **content}
    with (folder / MANIFEST).open("x", encoding="utf-8") as file:
        json.dump(content, file, indent=1)
        file.flush()
        os.fsync(file.fileno())
    return content


def read_manifest(folder: Path) -> dict[str, Any] | None:
    """The manifest of the export that is in a folder; None if there is none."""
    try:
        found = json.loads((folder / MANIFEST).read_bytes())
    except (OSError, ValueError):
        return None
    ours = isinstance(found, dict) and found.get("program") == PROGRAM
    return found if ours else None


@contextmanager
def _remove_leftovers(folder: Path, made: bool) -> Iterator[None]:
    try:
        yield
    finally:
        shutil.rmtree(folder / PARTIAL, ignore_errors=True)
        if made and not any(folder.iterdir()):
            folder.rmdir()


def _lock_folder(lock: int, folder: Path) -> None:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        hint = "wait for it, or name another folder"
        raise EtlError(f"another export is writing to {folder}", hint) from None


def _make_partial(folder: Path, names: Iterable[str]) -> Path:
    """The hidden folder, without what a killed export left in it."""
    partial = folder / PARTIAL
    ours = read_manifest(folder) is not None or partial.is_dir()
    if not ours and any(folder.iterdir()):
        hint = "an export needs a folder of its own: name a new one, or an empty one"
        raise ConfigError(f"{folder} holds files that are no export", hint)
    for place in (folder / name for name in names):
        # Such as a table of a lake: what is in it would be deleted.
        files = (path for path in place.rglob("*") if not path.is_dir())
        if not all(PART.fullmatch(path.name) for path in files):
            raise ConfigError(f"{place} holds files that are no export", "name another folder")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir()
    return partial


def _swap_files(folder: Path, partial: Path, names: Iterable[str]) -> None:
    """Put the new files into the place of the old ones. Renames alone: it takes no time."""
    for place, _, _ in os.walk(partial):
        _sync_folder(Path(place))
    before = (table["name"] for table in (read_manifest(folder) or {}).get("tables", ()))
    known = {name + end for name in {*names, *before} for end in ENDINGS}
    new = [path for path in partial.iterdir() if path.name != MANIFEST]
    old = partial / "old"
    old.mkdir()
    (folder / MANIFEST).unlink(missing_ok=True)
    _sync_folder(folder)
    for path in [path for path in folder.iterdir() if path.name in known]:
        path.rename(old / path.name)
    for path in new:
        path.rename(folder / path.name)
    _sync_folder(folder)
    (partial / MANIFEST).rename(folder / MANIFEST)
    _sync_folder(folder)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def _translate_folder_errors(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        hint = "name a folder that this user may write to, by --output"
        raise ConfigError(f"{folder} can't be written: {error.strerror}", hint) from None


@contextmanager
def _translate_write_errors(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        hint = "make room; " if error.errno in NO_ROOM else ""
        hint += "nothing of this export was kept, an earlier one is still there"
        reason = error.strerror or str(error)
        raise EtlError(f"the export to {folder} failed: {reason}", hint) from error
