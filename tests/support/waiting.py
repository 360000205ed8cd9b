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

    The longer it takes, the more rarely, so that asking leaves the processors to those at work.
    """
    began = time.monotonic()
    while not (answer := what()):
        waited = time.monotonic() - began
        assert waited < seconds, f"waited {seconds:.0f} s in vain: {saying}"
        time.sleep(min(0.5, 0.02 + waited / 20))
    return answer
