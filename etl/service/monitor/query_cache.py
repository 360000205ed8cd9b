"""Questions that may hang: asked by one thread at most, and answers are kept for a moment."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Final, Generic, TypeVar

from etl.errors import StoreError

T = TypeVar("T")

ANSWER_TIMEOUT: Final = 3.0
"""Seconds that whoever asks waits for an answer."""


class CachedQuery(Generic[T]):
    """The answer to a question, at most `lasts` seconds old where the one asked is quick."""

    def __init__(
        self, ask: Callable[[], T], *, lasts: float = 1.0, patience: float = ANSWER_TIMEOUT
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
            answer, now = self._answer, time.monotonic()
            if answer is None or (answer.done() and now - self._asked_at >= self._lasts):
                answer = self._answer = Future()
                self._asked_at = now
                threading.Thread(target=self._work, args=(answer,), daemon=True).start()
        try:
            return answer.result(self._patience)
        except TimeoutError:
            raise StoreError("no answer in time", "is the database overloaded?") from None

    def _work(self, answer: "Future[T]") -> None:
        try:
            answer.set_result(self._ask())
        except Exception as error:
            answer.set_exception(error)
