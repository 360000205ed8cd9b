"""Results as a table: medians, and ratios to the floor of the same workload and database."""

import json
import os
import platform
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

from benchmarks.bench import Bench, Result, as_json
from benchmarks.contenders import FLOOR, HERE
from benchmarks.workloads import WORKLOADS

BEGIN, END = "<!-- results: begin -->", "<!-- results: end -->"
DOCUMENT = HERE.parent / "docs" / "benchmarks.md"
HEAD = (
    "contender", "database", "runs", "wall s", "CPU s", "wall / floor", "CPU / floor", "peak MB",
    "requests", "right", "stale", "lacking", "simulator busy", "load", "",
)  # fmt: skip


def table(bench: Bench) -> str:
    """The report in markdown, a table a workload."""
    parts = [_machine(bench)]
    for name, workload in WORKLOADS.items():
        results = [result for result in bench.results if result.workload == name]
        if results:
            lines = [f"### {name}", "", str(workload.__doc__), "", _line(HEAD), _line(["---"] * 15)]
            parts.append("\n".join(lines + _rows(results)))
    return "\n\n".join(parts)


def _rows(results: list[Result]) -> list[str]:
    groups: dict[tuple[str, str], list[Result]] = {}
    for result in sorted(results, key=lambda result: result.database != "-"):
        groups.setdefault((result.database, result.contender), []).append(result)
    order = sorted(groups, key=lambda key: ("-", "SQLite", "PostgreSQL").index(key[0]))
    return [_row(groups[key], groups.get((key[0], FLOOR))) for key in order]


def _row(runs: list[Result], floor: list[Result] | None) -> str:
    def of(field: Callable[[Result], float | int | None]) -> float:
        return median(float(value) for run in runs if (value := field(run)) is not None)

    def ratio(field: Callable[[Result], float]) -> str:
        return f"{of(field) / median(field(run) for run in floor):.2f}" if floor else ""

    count, failures = len(runs), sum(run.failed for run in runs)
    runs = [run for run in runs if not run.failed] or runs
    last = runs[-1]
    checked = last.right is not None
    return _line([
        last.contender,
        last.database,
        str(count),
        f"{of(lambda run: run.wall):.2f}",
        f"{of(lambda run: run.cpu):.2f}",
        ratio(lambda run: run.wall),
        ratio(lambda run: run.cpu),
        f"{of(lambda run: run.memory):.0f}",
        f"{of(lambda run: run.requests):.0f}",
        *(
            f"{of(field):,.0f}" if checked else ""
            for field in (lambda run: run.right, lambda run: run.stale, lambda run: run.lacking)
        ),
        f"{of(lambda run: run.simulator):.0%}",
        f"{of(lambda run: run.load):.1f}",
        f"{failures} of {count} runs failed" if failures else last.note,
    ])  # fmt: skip


def _line(cells: list[str] | tuple[str, ...]) -> str:
    return f"| {' | '.join(cells)} |"


def _machine(bench: Bench) -> str:
    when = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime())
    size = "small sizes (`--quick`): the figures say little. " if bench.quick else ""
    python = f"commit {_commit()}, Python {platform.python_version()}"
    lines = [
        f"{when}, {size}{_processor()}, {os.cpu_count()} cores, {python}, Linux "
        f"{platform.release()}; {bench.rounds} rounds in alternation, medians."
    ]
    if bench.capacity:
        pages = bench.capacity["pages a second"]
        busiest = max(r.simulator for r in bench.results)
        slowest = "is not" if busiest < 0.8 else "may be"
        lines.append(
            f"The simulator alone served {pages:,.0f} pages a second to a client that only reads, "
            f"measured in the same run. It was busy for at most {busiest:.0%} of one core's time "
            f"while a contender ran, so it {slowest} the bottleneck."
        )
    return "\n".join(lines)


def _commit() -> str:
    command = ["git", "rev-parse", "--short", "HEAD"]
    done = subprocess.run(command, cwd=HERE.parent, check=False, capture_output=True, text=True)
    return done.stdout.strip() or "unknown"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def store(bench: Bench, text: str) -> Path:
    """Keep the single results as JSON, out of git."""
    folder = HERE / "results"
    folder.mkdir(exist_ok=True)
    file = folder / time.strftime("%Y-%m-%dT%H-%M-%S.json", time.gmtime())
    kept = {"capacity": bench.capacity, "table": text, "results": as_json(bench.results)}
    file.write_text(json.dumps(kept, indent=1), encoding="utf-8")
    return file


def publish(text: str) -> None:
    """Put the table between the marks of docs/benchmarks.md."""
    document = DOCUMENT.read_text(encoding="utf-8")
    before, _, rest = document.partition(BEGIN)
    after = rest.partition(END)[2]
    DOCUMENT.write_text(f"{before}{BEGIN}\n\n{text}\n\n{END}{after}", encoding="utf-8")
