"""Waiting for what another thread or process does.

A limit only ends a test that hangs: it bears a machine that is many times as slow as ours.
"""

import time
from collections.abc import Callable
from typing import Any, Final

PATIENCE: Final = 300.0
"""Seconds that a test waits for what should take one or two, before it calls that a failure."""


def until(what: Callable[[], Any], saying: str, seconds: float = PATIENCE) -> Any:
    """Ask again and again until the answer is true, and return it.

    A question that takes long is asked more rarely: the processors are for those at work.
    """
    began = asked = time.monotonic()
    while not (answer := what()):
        now = time.monotonic()
        assert now < began + seconds, f"waited {seconds:.0f} s in vain: {saying}"
        time.sleep(max(0.02, now - asked))
        asked = time.monotonic()
    return answer
