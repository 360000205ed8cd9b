"""Run a command and write down what it cost: `measure.py RESULT.json LOG COMMAND...`.

A process of its own, and a small one: the peak memory that the kernel tells of a child begins at
the size of the process that started it.
"""

import json
import os
import sys
import time
from pathlib import Path


def main(result: str, log: str, *command: str) -> None:
    out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    to_log = [(os.POSIX_SPAWN_DUP2, out, 1), (os.POSIX_SPAWN_DUP2, out, 2)]
    load = os.getloadavg()[0]
    began = time.perf_counter()
    child = os.posix_spawnp(command[0], command, os.environ, file_actions=to_log)
    _, status, usage = os.wait4(child, 0)
    cost = {
        "wall": time.perf_counter() - began,
        "cpu": usage.ru_utime + usage.ru_stime,
        "memory": usage.ru_maxrss / 1024,
        "load": load,
        "code": os.waitstatus_to_exitcode(status),
    }
    Path(result).write_text(json.dumps(cost), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
