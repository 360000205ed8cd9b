"""Sync and reconcile by Airflow 3, in place of `gumloop-etl run`.

Put this file into the folder of DAGs. On the workers install the program into a virtual environment
of its own, since its libraries aren't Airflow's, and set there:

    GUMLOOP_ETL            the program, unless it is /opt/gumloop-etl/bin/gumloop-etl
    ETL_CONFIG             its configuration
    GUMLOOP_API_KEY_FILE   and what else it needs: docs/operations.md, "Credentials"

The contract is the exit code and the JSON document of `--json` (docs/cli.md).
"""

import json
import os
import subprocess
from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.sdk import dag, task
from airflow.sdk.exceptions import AirflowException, AirflowFailException

SCHEDULES = {"sync": "*/15 * * * *", "reconcile": "40 3 * * *"}
USAGE = 2
COUNTS = ("inserted", "updated", "missing", "rejected")


def run_program(mode: str) -> dict[str, Any]:
    """Run a command and return its counts, summed over the agents.

    Raises AirflowFailException where another try is of no use, else AirflowException.
    """
    program = os.environ.get("GUMLOOP_ETL", "/opt/gumloop-etl/bin/gumloop-etl")
    # What it has to say goes to stderr, and so to the task's log.
    done = subprocess.run(  # noqa: S603 (the worker's own environment names the program)
        [program, mode, "--json"], stdout=subprocess.PIPE, text=True, check=False
    )
    if done.returncode == USAGE:
        raise AirflowFailException(f"{mode}: the configuration is at fault; see the log")
    if done.returncode != 0:
        raise AirflowException(f"{mode} ended with exit code {done.returncode}; see the log")
    report = json.loads(done.stdout)
    totals = {name: sum(agent[name] for agent in report["agents"]) for name in COUNTS}
    return {"status": report["status"], "agents": len(report["agents"]), **totals}


def make_dag(mode: str, schedule: str) -> Any:
    """A DAG of one task. Runs of one agent take turns by themselves, also across DAGs."""

    @dag(
        dag_id=f"gumloop_{mode}",
        schedule=schedule,
        start_date=datetime(2026, 1, 1, tzinfo=UTC),
        catchup=False,
        max_active_runs=1,
        default_args={"retries": 3, "retry_delay": timedelta(minutes=2)},
        tags=["gumloop"],
    )
    def build() -> None:
        task(task_id=mode)(run_program)(mode)

    return build()


sync, reconcile = (make_dag(mode, schedule) for mode, schedule in SCHEDULES.items())
