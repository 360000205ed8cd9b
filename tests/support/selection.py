"""What is run, and in which order: `--quick`, `--cases`, `--allow-skip`, long tests first."""

import os
import sys
from collections import Counter
from functools import cache
from itertools import islice
from typing import Any
from zlib import crc32

import pytest
from hypothesis import HealthCheck, settings

SLOW_FOLDERS = ("process", "torture")
SLOW_FIXTURES = {"api", "browser", "lab", "postgres", "serve"}
STARTS = {"subprocess.Popen", "os.fork", "os.posix_spawn"}
SETTINGS = "_hypothesis_internal_use_settings"
DATABASES = ("sqlite", "postgres")
FEW = 15
MANY_CASES = 8

refused: list[str] = []
"""Skipped tests that `--allow-skip` doesn't allow, with their reasons."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--quick", action="store_true", help="only tests without a process, a server or a browser"
    )
    parser.addoption(
        "--cases",
        choices=("half", "others", "all"),
        default="half",
        help="cases of strange servers on one database; those on the other one, and all else on "
        "one, too; or everything on both",
    )
    parser.addoption(
        "--allow-skip",
        action="append",
        default=[],
        metavar="WORDS",
        help="fail if a test is skipped for another reason than one with these words",
    )


def pytest_configure(config: pytest.Config) -> None:
    slow_machine = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow]}
    settings.register_profile("any machine", **slow_machine)
    settings.load_profile("any machine")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--quick"):
        slow = [item for item in items if _is_slow(item)]
        config.hook.pytest_deselected(items=slow)
        items[:] = [item for item in items if not _is_slow(item)]
        for item in items:
            _try_few_examples(item)
    spared = _spare_cases(items, config.getoption("--cases"))
    config.hook.pytest_deselected(items=spared)
    left_out = set(spared)
    items[:] = [item for item in items if item not in left_out]
    items[:] = _put_long_first(items, int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1")))


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.config.getoption("--quick"):
        _skip_at_processes()


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if report.skipped and isinstance(report.longrepr, tuple):
        refused.append(f"{report.nodeid}: {report.longrepr[2]}")


def pytest_sessionfinish(session: pytest.Session) -> None:
    allowed: list[str] = session.config.getoption("--allow-skip")
    known = [words for words in allowed if words]
    refused[:] = [one for one in refused if allowed and not any(words in one for words in known)]
    if refused and session.exitstatus == 0:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for one in refused:
        terminalreporter.write_line(f"SKIPPED, and not allowed: {one}", red=True)


def _is_slow(item: Any) -> bool:
    """Whether a test needs a server or a browser, or is one of processes, as far as that shows."""
    values = item.callspec.params.values() if hasattr(item, "callspec") else ()
    return (
        item.path.parent.name in SLOW_FOLDERS
        or not SLOW_FIXTURES.isdisjoint(item.fixturenames)
        or any(value == "postgres" for value in values)
    )


def _spare_cases(items: list[Any], which: str) -> list[Any]:
    """The cases that are tried on the other database alone, or by another run.

    Strange servers torture the engine, which knows no database; what it asks of one is tested on
    both. With `others` all else is tried on one database, too. Which of them a case gets is drawn
    by its name, so that no other parameter decides it.
    """
    if which == "all":
        return []
    counts = Counter(item.function for item in items if "lab" in item.fixturenames)

    def is_spared(item: Any) -> bool:
        params = item.callspec.params.values() if hasattr(item, "callspec") else ()
        database = next((value for value in params if value in DATABASES), None)
        if database is None:
            return False
        name = item.nodeid.replace(database, "", 1)
        is_drawn = DATABASES[crc32(name.encode()) % 2] == database
        if counts[item.function] >= MANY_CASES:
            return is_drawn != (which == "half")
        return which == "others" and is_drawn

    return [item for item in items if is_spared(item)]


def _put_long_first(items: list[pytest.Item], workers: int) -> list[pytest.Item]:
    """Begin with the long tests: others use the processors while they wait, and none is left alone.

    Each worker begins with an equal share of the list, from which idle ones take later.
    """
    long = [item for item in items if item.get_closest_marker("long")]
    others = iter([item for item in items if not item.get_closest_marker("long")])
    ordered: list[pytest.Item] = []
    for worker in range(workers):
        share = (len(items) - len(ordered)) // (workers - worker)
        mine = long[worker::workers]
        ordered += [*mine, *islice(others, max(0, share - len(mine)))]
    return [*ordered, *others]


def _try_few_examples(item: Any) -> None:
    """Of a property, try few examples; `make test` tries as many as it asks for."""
    usual = getattr(item.obj, SETTINGS, None)
    if usual is not None:
        setattr(item.function, SETTINGS, settings(usual, max_examples=FEW))


@cache
def _skip_at_processes() -> None:
    """Whatever test starts a process from now on is skipped at that point."""

    def watch(name: str, _: object) -> None:
        if name in STARTS:
            pytest.skip("it starts a process, which --quick leaves out")

    sys.addaudithook(watch)
