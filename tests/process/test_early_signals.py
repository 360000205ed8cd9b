"""Ctrl-C while modules load: the process ends, and no traceback reaches the user."""

import random
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.process.project import REPOSITORY

COMMANDS = ("--version", "status", "sync", "report --output r.html", "export", "check")
SETTINGS = {
    "GUMLOOP_ACCESS_TOKEN": "x",
    "GUMLOOP_BASE_URL": "http://127.0.0.1:9",
    "ETL_AGENTS": "a",
    "ETL_API__MAX_ATTEMPTS": "1",
}
SIGNALS = 60
LONGEST = 0.3
"""Seconds that the slowest of these commands takes to load."""

LOADING = "argparse"
"""A module that is loaded after the first instruction of ours, as `-X importtime` tells it."""


def interrupt(folder: Path, words: list[str], delay: float) -> tuple[int, str]:
    """Send Ctrl-C so long after the program has begun. Returns the exit code and stderr."""
    process = subprocess.Popen(
        [sys.executable, "-X", "importtime", "-m", "etl", *words],
        cwd=folder,
        env={"PYTHONPATH": str(REPOSITORY), **SETTINGS},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    begun = next(line for line in process.stderr if line.split()[-1] == LOADING)
    time.sleep(delay)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    return process.returncode, begun + err


def test_an_early_interrupt_shows_no_traceback(tmp_path: Path) -> None:
    draws = random.Random(20261129)
    # A shell starts what runs in the background with SIGINT ignored, and processes inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with ThreadPoolExecutor(4) as pool:
        ends = list(
            pool.map(
                lambda number: interrupt(
                    tmp_path, COMMANDS[number % len(COMMANDS)].split(), draws.random() * LONGEST
                ),
                range(SIGNALS),
            )
        )

    assert [err for _, err in ends if "Traceback" in err or "KeyboardInterrupt" in err] == []
    assert -signal.SIGINT in {code for code, _ in ends}
    assert {code for code, _ in ends} <= {-signal.SIGINT, 130, 0, 1, 2}
