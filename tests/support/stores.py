"""Stores that compile each statement once for all tests of a process."""

from typing import Any

from etl.clock import utc_now
from etl.store.store import Store

__all__ = ["open_store"]

_compiled: dict[str, tuple[Any, Any]] = {}
"""By the kind of database: a dialect that has met its server, and what it has compiled."""


def open_store(url: str) -> Store:
    """A store of a database with the newest schema.

    To compile all of a run's statements takes longer than a run of a few pages. SQLAlchemy keeps
    them per engine and dialect, so those of the first engine serve the others.
    """
    store = Store(url, utc_now)
    engine: Any = store.engine
    if engine.name not in _compiled:
        engine.connect().close()
        engine.dispose()
        _compiled[engine.name] = engine.dialect, engine._compiled_cache
    engine.dialect, engine._compiled_cache = _compiled[engine.name]
    return store
