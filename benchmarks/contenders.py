"""Who runs against whom, and what each is started with."""

import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.simulated import TOKEN

HERE = Path(__file__).parent
PEERS = HERE / ".venv" / "bin" / "python"
FLOOR = "floor"


@dataclass(frozen=True)
class Contender:
    """A name in the table, and how it is started: ours by options, the others by a script."""

    name: str
    script: str = ""
    options: tuple[str, ...] = ()
    settings: dict[str, str] = field(default_factory=dict)
    python: str = sys.executable
    no_database: bool = False

    def command(self, base: str, database: str, agents: Sequence[str]) -> list[str]:
        if not self.script:
            return [self.python, "-m", "etl", *self.options]
        if self.options:
            return [self.python, str(HERE / self.script), *self.options]
        url = "none" if self.no_database else database
        return [self.python, str(HERE / self.script), base, url, *agents]

    def environment(
        self, base: str, database: str, agents: Sequence[str], folder: Path
    ) -> dict[str, str]:
        ours = ("GUMLOOP_", "ETL_", "DLT_")
        rest = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
        return rest | {
            "PYTHONPATH": str(HERE.parent),
            "GUMLOOP_ACCESS_TOKEN": TOKEN,
            "ETL_API__BASE_URL": base,
            "ETL_DATABASE__URL": database,
            "ETL_AGENTS": ",".join(agents),
            "DLT_DATA_DIR": str(folder / "dlt"),
            **self.settings,
        }


def etl(name: str, *options: str, concurrency: int = 16, rate: float = 0) -> Contender:
    settings = {"ETL_API__CONCURRENCY": str(concurrency)}
    settings |= {"ETL_API__REQUESTS_PER_SECOND": str(rate)} if rate else {}
    return Contender(name, options=options, settings=settings)


def floor() -> Contender:
    return Contender(FLOOR, "floor.py")


def fetch() -> Contender:
    return Contender("fetch and parse only", "floor.py", no_database=True)


def parts() -> Contender:
    return Contender("parts alone", "parts.py")


def sdk() -> Contender:
    return Contender("SDK script", "sdk_script.py")


def dlt() -> list[Contender]:
    """Dlt in a list, or none where it isn't installed."""
    for python in (str(PEERS), sys.executable):
        if Path(python).exists() and _has_dlt(python):
            return [Contender("dlt, tuned", "dlt_pipeline.py", python=python)]
    return []


def helps(contenders: Sequence[Contender]) -> list[Contender]:
    """The same contenders, asked for no more than their help."""
    return [Contender(c.name, c.script, ("--help",), python=c.python) for c in contenders]


def _has_dlt(python: str) -> bool:
    return (
        subprocess.run([python, "-c", "import dlt"], check=False, capture_output=True).returncode
        == 0
    )
