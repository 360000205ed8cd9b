import os
import signal
import subprocess
import sys

import pytest

from etl.cli.signals import REPEAT_WINDOW, stop_on_signals
from tests.support.waiting import PATIENCE

SECOND = """
import os, signal, threading, time
from etl.cli.signals import stop_on_signals
said = threading.Event()
with stop_on_signals(lambda: (print("stopping", flush=True), said.set())) as stop:
    os.kill(os.getpid(), signal.{first})
    stop.wait(), said.wait()
    time.sleep({pause})
    os.kill(os.getpid(), signal.{second})
    time.sleep({left})
"""


def test_a_signal_amid_a_wait_on_the_event_ends_that_wait() -> None:
    said: list[str] = []
    with stop_on_signals(lambda: said.append("stopping")) as stop:
        # `Event.wait` holds this lock at its start and end: a handler that wants it hangs.
        with stop._cond:  # type: ignore[attr-defined]
            os.kill(os.getpid(), signal.SIGTERM)

        assert stop.wait(PATIENCE)
    assert said in ([], ["stopping"])


@pytest.mark.parametrize(("first", "second"), [("SIGINT", "SIGTERM"), ("SIGTERM", "SIGTERM")])
def test_a_second_signal_ends_the_process_at_once(first: str, second: str) -> None:
    code = SECOND.format(first=first, second=second, pause=2 * REPEAT_WINDOW, left=1000)
    done = subprocess.run(
        [sys.executable, "-c", code], check=False, capture_output=True, text=True, timeout=PATIENCE
    )

    assert done.returncode == 130
    assert done.stdout.splitlines() == ["stopping"]


def test_two_signals_at_once_are_one_wish() -> None:
    """`timeout` signals the process, and its group right after that."""
    code = SECOND.format(first="SIGTERM", second="SIGTERM", pause=0, left=0.5)
    done = subprocess.run(
        [sys.executable, "-c", code], check=False, capture_output=True, text=True, timeout=PATIENCE
    )

    assert (done.returncode, done.stdout.splitlines()) == (0, ["stopping"])


ELSEWHERE = """
import signal, threading, time
from etl.cli.signals import stop_on_signals
other = threading.Thread(target=time.sleep, args=(1000,), daemon=True)
other.start()
threading.Timer(0.5, lambda: signal.pthread_kill(other.ident, signal.SIGTERM)).start()
with stop_on_signals() as stop:
    stop.wait()
    print("heard", flush=True)
    import os; os._exit(0)
"""


def test_a_signal_that_the_kernel_hands_to_another_thread_is_heard() -> None:
    """The main thread waits for a lock then, and runs no handler."""
    done = subprocess.run(
        [sys.executable, "-c", ELSEWHERE],
        check=False,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )

    assert done.stdout == "heard\n"
