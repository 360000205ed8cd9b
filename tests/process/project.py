"""A user's folder: a config.toml, a credential in the environment, and commands run there.

Every command's output is checked for what may never be in it: a traceback, and the credential.
"""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from etl.clock import utc_now
from etl.store.store import Store
from tests.support.waiting import PATIENCE

SECRET = "tok-3f9d1c77-never-shown"
REPOSITORY = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, slots=True)
class Done:
    """What a command left behind."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The one JSON document on stdout."""
        return json.loads(self.out)

    def fails(self, code: int, *words: str) -> None:
        """Check that it failed with one sentence that says these words, and a hint."""
        errors = [line for line in self.err.splitlines() if line.startswith("error: ")]
        hints = [line for line in self.err.splitlines() if line.startswith("hint: ")]

        assert (self.code, len(errors)) == (code, 1), self
        assert hints or errors[0].endswith(")"), self
        said = self.err.lower()
        assert [word for word in words if word.lower() not in said] == [], self


@dataclass(slots=True)
class Project:
    """The folder, and the environment of its commands."""

    folder: Path
    env: dict[str, str] = field(default_factory=lambda: {"GUMLOOP_ACCESS_TOKEN": SECRET})
    database: str = "sqlite:///gumloop.db"

    def configure(self, base_url: str, agents: Iterable[str], **tables: dict[str, Any]) -> None:
        """Write config.toml."""
        tables = {"api": {}, "database": {"url": self.database}, **tables}
        tables["api"] = {"base_url": base_url, **tables["api"]}
        lines: list[str] = []
        for name, keys in tables.items():
            lines += [f"[{name}]", *(f"{key} = {json.dumps(keys[key])}" for key in keys)]
        for id in agents:
            lines += ["[[agents]]", f"id = {json.dumps(id)}"]
        self.write("\n".join(lines) + "\n")

    def write(self, text: str) -> None:
        """Replace config.toml."""
        (self.folder / "config.toml").write_text(text, encoding="utf-8")

    def run(self, *words: str, **env: str) -> Done:
        """Run a command as a process, to its end."""
        return self.finish(self.start(*words, **env))

    def start(self, *words: str, **env: str) -> "subprocess.Popen[str]":
        """Start a command as a process."""
        return subprocess.Popen(
            [sys.executable, "-m", "etl", *words],
            cwd=self.folder,
            env=self.environment(**env),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
        )

    def finish(self, process: "subprocess.Popen[str]", seconds: float = PATIENCE) -> Done:
        """Wait for a process to end by itself."""
        try:
            out, err = process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            # Where it hangs: Python's fault handler tells on this signal.
            process.send_signal(signal.SIGABRT)
            _, err = process.communicate()
            pytest.fail(f"no end within {seconds:.0f} s:\n{err[-8000:]}")
        return checked(Done(process.returncode, out, err))

    def environment(self, **env: str) -> dict[str, str]:
        """The environment of a command; an empty value takes a name out."""
        ours = {"PYTHONPATH": str(REPOSITORY), "PYTHONFAULTHANDLER": "1"}
        # Each process would compile the program anew.
        ours["PYTHONDONTWRITEBYTECODE"] = ""
        whole = {**os.environ, **ours, **self.env, **env}
        return {name: value for name, value in whole.items() if value}

    def store(self) -> Store:
        """The database, opened."""
        prefix = "sqlite:///"
        url = self.database
        if url.startswith(prefix):
            url = f"{prefix}{self.folder / url.removeprefix(prefix)}"
        return Store(url, utc_now)

    def files(self) -> dict[str, bytes]:
        """Everything in the folder."""
        found = (path for path in self.folder.rglob("*") if path.is_file())
        return {str(path.relative_to(self.folder)): path.read_bytes() for path in found}


def checked(done: Done) -> Done:
    """The same, if neither a traceback nor the credential is in it."""
    for text in (done.out, done.err):
        assert "Traceback" not in text, text
        assert SECRET not in text, text
    assert "this is a bug" not in done.err, done.err
    return done
