"""Questions that may hang: asked by one thread at most, and answers are kept for a moment."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Final, Generic, TypeVar

from etl.errors import StoreError

T = TypeVar("T")

PATIENCE: Final = 3.0
"""Seconds that whoever asks waits for an answer."""


class CachedQuery(Generic[T]):
    """The answer to a question, at most `lasts` seconds old where the one asked is quick."""

    def __init__(
        self, ask: Callable[[], T], *, lasts: float = 1.0, patience: float = PATIENCE
    ) -> None:
        self._ask = ask
        self._lasts = lasts
        self._patience = patience
        self._lock = threading.Lock()
        self._answer: Future[T] | None = None
        self._asked_at = 0.0

    def answer(self) -> T:
        """The answer. Raises what asking raises, and StoreError if it takes too long.

        A question still unanswered is not asked again: a hanging database gathers no threads.
        """
        with self._lock:
            response = self._answer
            if response is None or (response.done() and self._is_old()):
                response = self._answer = Future()
                self._asked_at = time.monotonic()
                threading.Thread(target=self._work, args=(response,), daemon=True).start()
        try:
            return response.result(self._patience)
        except TimeoutError:
            raise StoreError("no answer in time", "is the database overloaded?") from None

    def _is_old(self) -> bool:
        return time.monotonic() - self._asked_at >= self._lasts

    def _work(self, response: "Future[T]") -> None:
        try:
            response.set_result(self._ask())
        except Exception as error:
            response.set_exception(error)
