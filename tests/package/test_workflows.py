"""The workflows, which can't run here: schema, safety, and that they fit the project."""

import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.package.installed import REPOSITORY

WORKFLOWS = sorted((REPOSITORY / ".github" / "workflows").glob("*.yml"))
PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
TOOLS = Path(sys.executable).parent


def check(*command: str) -> None:
    done = subprocess.run(
        [TOOLS / command[0], *command[1:]], capture_output=True, text=True, cwd=REPOSITORY
    )
    assert done.returncode == 0, done.stdout + done.stderr


def jobs(name: str) -> dict[str, Any]:
    text = (REPOSITORY / ".github" / "workflows" / name).read_text(encoding="utf-8")
    found: dict[str, Any] = yaml.safe_load(text)["jobs"]
    return found


def actions(job: dict[str, Any]) -> list[str]:
    return [step["uses"].partition("@")[0] for step in job["steps"] if "uses" in step]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_a_workflow_fits_the_schema(path: Path) -> None:
    check("check-jsonschema", "--builtin-schema", "vendor.github-workflows", str(path))


def test_no_workflow_is_open_to_attacks() -> None:
    assert WORKFLOWS
    check("zizmor", "--offline", "--persona=pedantic", "--no-progress", ".github")


def test_the_tests_run_on_every_python_that_the_package_names() -> None:
    prefix = "Programming Language :: Python :: 3."
    named = [one.rpartition(" ")[2] for one in PROJECT["classifiers"] if one.startswith(prefix)]

    assert jobs("ci.yml")["test"]["strategy"]["matrix"]["python"] == named


def test_a_workflow_calls_only_verbs_of_the_makefile() -> None:
    makefile = (REPOSITORY / "Makefile").read_text(encoding="utf-8")
    every = [*jobs("ci.yml").values(), *jobs("release.yml").values()]
    runs = [step.get("run", "") for job in every for step in job["steps"]]
    words = [word for run in runs if run.startswith("make ") for word in run.split()[1:]]
    verbs = {word for word in words if "=" not in word}

    assert verbs
    assert [verb for verb in verbs if f"\n{verb}:" not in makefile] == []


def test_only_what_was_built_and_signed_is_published() -> None:
    job = jobs("release.yml")["publish"]

    assert job["permissions"] == {"id-token": "write", "attestations": "write"}
    assert actions(job) == [
        "actions/download-artifact",
        "actions/attest-build-provenance",
        "pypa/gh-action-pypi-publish",
    ]
    assert "password" not in job["steps"][-1].get("with", {})
