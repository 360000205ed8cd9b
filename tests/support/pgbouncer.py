"""A pgbouncer in front of a PostgreSQL of the tests."""

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from tests.support.postgres import Cluster, _as_nobody, free_port


@contextmanager
def pgbouncer(cluster: Cluster) -> Iterator[int]:
    """The port of one that pools transactions: two connections for all."""
    program = shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin")
    if program is None:
        pytest.skip("pgbouncer is not installed; `make .venv/.pgbouncer` does that with apt")
    with psycopg.connect(cluster.admin_url) as connection:
        server = f"host={connection.info.host} port={connection.info.port}"
        server += f" user={connection.info.user}"
        if connection.info.password:
            server += f" password={connection.info.password}"
    folder, port = Path(f"/tmp/etl-pgbouncer-{os.getpid()}"), free_port()
    folder.mkdir()
    settings = ["[databases]", f"* = {server}", "[pgbouncer]", "listen_addr = 127.0.0.1"]
    settings += [f"listen_port = {port}", "auth_type = any", "pool_mode = transaction"]
    settings += ["default_pool_size = 2", "unix_socket_dir ="]
    (folder / "pgbouncer.ini").write_text("\n".join(settings) + "\n")
    process = subprocess.Popen(
        [program, "-q", str(folder / "pgbouncer.ini")], stderr=subprocess.DEVNULL, **_as_nobody()
    )
    try:
        _wait(f"postgresql://etl@127.0.0.1:{port}/postgres")
        yield port
    finally:
        process.kill()
        process.wait()
        shutil.rmtree(folder)


def _wait(url: str) -> None:
    for attempt in range(300):
        try:
            psycopg.connect(url).close()
            return
        except psycopg.OperationalError:
            if attempt == 299:
                raise
            time.sleep(0.02)
