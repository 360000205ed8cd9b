"""The wheel and the sdist, built and installed outside the repository, without a network.

An environment holds the wheel and links to the packages that the wheel's metadata names, with
theirs, and nothing else: what the wheel forgets to name isn't there.
"""

import os
import subprocess
import sys
import tarfile
import venv
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.metadata import Distribution, PathDistribution, distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

REPOSITORY = Path(__file__).resolve().parents[2]
PROGRAM = "gumloop-etl"
IMPORT_ALL = """
import importlib, pkgutil, etl
for module in pkgutil.walk_packages(etl.__path__, "etl."):
    if not module.name.endswith("__main__") and "migrations" not in module.name:
        try:
            importlib.import_module(module.name)
        except ModuleNotFoundError as error:
            print(error.name.partition(".")[0])
"""


def build(source: Path, target: str, into: Path) -> Path:
    """Build one file, `wheel` or `sdist`, of a source tree."""
    command = [sys.executable, "-m", "hatchling", "build", "-t", target, "-d", str(into)]
    subprocess.run(command, cwd=source, check=True, capture_output=True)
    (built,) = into.iterdir()
    return built


def unpack(sdist: Path, into: Path) -> Path:
    """The source tree in an sdist."""
    with tarfile.open(sdist) as archive:
        archive.extractall(into, filter="data")
    (source,) = into.iterdir()
    return source


@dataclass(frozen=True, slots=True)
class Environment:
    """A virtual environment with the wheel, and a folder elsewhere to work in."""

    python: Path
    folder: Path

    def run(self, *words: str, **env: str) -> "subprocess.CompletedProcess[str]":
        """Run the installed program to its end."""
        command = [self.python.parent / PROGRAM, *words]
        return subprocess.run(
            command, cwd=self.folder, env=self.variables(**env), capture_output=True, text=True
        )

    def start(self, *words: str, **env: str) -> "subprocess.Popen[str]":
        """Start the installed program."""
        return subprocess.Popen(
            [self.python.parent / PROGRAM, *words],
            cwd=self.folder,
            env=self.variables(**env),
            stdout=subprocess.PIPE,
            text=True,
        )

    def absent(self) -> set[str]:
        """The packages that some module asks for as it is imported, and that aren't there."""
        command = [self.python, "-c", IMPORT_ALL]
        done = subprocess.run(
            command,
            cwd=self.folder,
            env=self.variables(),
            check=True,
            capture_output=True,
            text=True,
        )
        return set(done.stdout.split())

    def variables(self, **env: str) -> dict[str, str]:
        """An environment that knows nothing of the repository."""
        return {"PATH": os.environ["PATH"], "HOME": str(self.folder), "LANG": "C.UTF-8", **env}


def install(wheel: Path, folder: Path, extras: Iterable[str] = ()) -> Environment:
    """Make an environment in a folder, with the wheel and what it requires."""
    place, work = folder / "env", folder / "work"
    venv.create(place)
    work.mkdir()
    python = place / "bin" / "python"
    command = [sys.executable, "-m", "pip", "--python", str(python), "install"]
    options = ["--no-deps", "--no-index", "--quiet", str(wheel)]
    subprocess.run([*command, *options], check=True, capture_output=True)
    (packages,) = place.glob("lib/python*/site-packages")
    (metadata,) = packages.glob("gumloop_etl-*.dist-info")
    for needed in closure(PathDistribution(metadata), extras):
        link(needed, packages)
    return Environment(python, work)


def closure(start: Distribution, extras: Iterable[str]) -> list[Distribution]:
    """What a distribution requires with these extras, and what that requires, and so on."""
    found: dict[tuple[str, str], Distribution] = {}
    left = [(start, extra) for extra in ("", *extras)]
    while left:
        one, extra = left.pop()
        for requirement in map(Requirement, one.requires or ()):
            if requirement.marker and not requirement.marker.evaluate({"extra": extra}):
                continue
            for wanted in ("", *requirement.extras):
                key = (canonicalize_name(requirement.name), wanted)
                if key not in found:
                    found[key] = distribution(requirement.name)
                    left.append((found[key], wanted))
    return list(found.values())


def link(package: Distribution, packages: Path) -> None:
    """Show an installed package in another environment, too."""
    tops = {file.parts[0] for file in package.files or ()} - {"..", "__pycache__"}
    for top in tops:
        shown = packages / top
        if not shown.exists():
            shown.symlink_to(Path(str(package.locate_file(top))))
