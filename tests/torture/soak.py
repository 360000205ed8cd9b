"""`make soak`: the state machine and real kills on both databases, until SOAK_SECONDS are over.

Each round's seed is printed before it begins; `make soak SEED=...` repeats that round. A round
that has begun is finished, unless by Ctrl-C. Exits with 1 if a round failed.
"""

import faulthandler
import os
import random
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass, field
from itertools import cycle

from hypothesis.reporting import with_reporter

from tests.support.postgres import cluster
from tests.torture.databases import KINDS, Databases, temporary_databases
from tests.torture.kills import kill_processes
from tests.torture.rig import Crash
from tests.torture.test_stateful import FAILED, Totals, torture

ROUNDS = tuple(f"{what}-{kind}" for what in ("machine", "kills") for kind in KINDS)
HANG = 1800
"""Seconds after which a round that hangs shows where, and ends all."""


def main() -> int:
    """Run the rounds."""
    threading.excepthook = be_silent_on_crashes
    seconds, given = float(os.environ.get("SOAK_SECONDS") or 600), os.environ.get("SEED")
    totals, failed, began = Totals(), [], time.monotonic()
    with ExitStack() as stack:
        servers = {"sqlite": None, "postgres": stack.enter_context(cluster())}
        made = {it: stack.enter_context(temporary_databases(servers[it])) for it in KINDS}
        with suppress(KeyboardInterrupt):
            for name in [given] if given else draw_rounds(began + seconds):
                print(f"{time.monotonic() - began:6.0f} s  SEED={name}", flush=True)
                if not run_round(name, made, totals):
                    failed.append(name)
    print(" ".join(f"{count} {what}" for what, count in asdict(totals).items()))
    print(f"failed rounds: {len(failed)}", *failed, sep="\n  SEED=")
    return int(bool(failed))


def draw_rounds(end: float) -> Iterator[str]:
    """A kind of round, a database and a number; each in its turn."""
    for name in cycle(ROUNDS):
        if time.monotonic() >= end:
            return
        yield f"{name}-{random.randrange(2**32)}"


def run_round(name: str, made: dict[str, Databases], totals: Totals) -> bool:
    """Run the round of this name. False: it failed, and has said how."""
    what, kind, number = name.split("-")
    faulthandler.dump_traceback_later(HANG, exit=True)
    story = Story()
    try:
        if what == "machine":
            with with_reporter(story.take):
                torture(made[kind], totals, examples=10, steps=30, number=int(number))
        else:
            kill_processes(made[kind], totals, random.Random(name), times=15)
    except Exception:
        traceback.print_exc(file=sys.stdout)
        print(*story.shortest, sep="\n")
        print(f"repeat it with: make soak SEED={name}", flush=True)
        return False
    finally:
        faulthandler.cancel_dump_traceback_later()
    return True


@dataclass
class Story:
    """The steps of an example that failed: of the shortest one."""

    steps: list[str] = field(default_factory=list)
    shortest: list[str] = field(default_factory=list)

    def take(self, line: str) -> None:
        """Take a line that Hypothesis reports."""
        if line.startswith("state = "):
            self.steps = []
        if line.startswith(("state", "->")) and "count_step" not in line:
            self.steps.append(line)
        if line.startswith(FAILED) and not 0 < len(self.shortest) <= len(self.steps):
            self.shortest = self.steps


def be_silent_on_crashes(arguments: threading.ExceptHookArgs) -> None:
    """Threads of a process that died say nothing."""
    if not issubclass(arguments.exc_type, Crash):
        threading.__excepthook__(arguments)


if __name__ == "__main__":
    raise SystemExit(main())
