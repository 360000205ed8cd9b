"""The package that people install: it holds and names all it needs, far from the repository."""

import re
import signal
import sqlite3
import tarfile
import tomllib
import urllib.request
from contextlib import closing
from importlib.metadata import PathDistribution
from pathlib import Path
from zipfile import ZipFile

import pytest

from tests.package.installed import REPOSITORY, Environment, build, install, unpack

PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
OPTIONAL = {"altair", "datasette", "deltalake", "jinja2", "psycopg", "pyarrow", "uvicorn"}
"""What only an extra brings."""
DEMO = "sqlite:///gumloop-demo.db"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(REPOSITORY, "wheel", tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def bare(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """The wheel without extras, and the database of a demo."""
    environment = install(wheel, tmp_path_factory.mktemp("bare"))
    done = environment.run("demo")
    assert done.returncode == 0, done.stderr
    assert "python -m etl" not in done.stdout
    assert "$ gumloop-etl backfill" in done.stdout
    return environment


@pytest.fixture(scope="module")
def whole(wheel: Path, bare: Environment, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """The wheel with the extra `all`, and the same database."""
    environment = install(wheel, tmp_path_factory.mktemp("whole"), ["all"])
    demo = bare.folder / "gumloop-demo.db"
    (environment.folder / demo.name).write_bytes(demo.read_bytes())
    return environment


def test_the_sdist_builds_the_same_wheel(wheel: Path, tmp_path: Path) -> None:
    for name in ("sdist", "source", "wheel"):
        (tmp_path / name).mkdir()
    source = unpack(build(REPOSITORY, "sdist", tmp_path / "sdist"), tmp_path / "source")

    again = build(source, "wheel", tmp_path / "wheel")

    assert again.name == wheel.name
    assert again.read_bytes() == wheel.read_bytes()


def test_the_wheel_holds_what_the_program_reads(wheel: Path) -> None:
    held = set(ZipFile(wheel).namelist())
    migrations = (REPOSITORY / "migrations").rglob("*.py")

    assert {f"etl/{path.relative_to(REPOSITORY)}" for path in migrations} <= held
    assert {"etl/py.typed", "etl/config.example.toml", "etl/docs/schema.md"} <= held
    assert not [name for name in held if name.startswith("tests/") or "__pycache__" in name]


def test_the_extra_all_names_every_extra() -> None:
    extras = set(PROJECT["optional-dependencies"]) - {"all"}

    (one,) = PROJECT["optional-dependencies"]["all"]
    assert set(re.findall(r"\w+", one.partition("[")[2])) == extras


def test_every_module_finds_its_libraries(bare: Environment, whole: Environment) -> None:
    assert bare.absent() <= OPTIONAL
    assert whole.absent() == set()


def test_tables_are_made_outside_the_repository(bare: Environment) -> None:
    done = bare.run("db", "upgrade", ETL_DATABASE__URL="sqlite:///new.db")

    assert done.returncode == 0, done.stderr
    with closing(sqlite3.connect(bare.folder / "new.db")) as connection:
        assert connection.execute("SELECT count(*) FROM alembic_version").fetchone() == (1,)


def test_init_writes_the_example(bare: Environment) -> None:
    done = bare.run("init")

    assert done.returncode == 0, done.stderr
    assert "  gumloop-etl check" in done.stderr
    written = (bare.folder / "config.toml").read_text(encoding="utf-8")
    assert written == (REPOSITORY / "config.example.toml").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("command", "extra"),
    [
        ("report --output report.html", "report"),
        ("export --output lake", "export"),
        ("explore", "explore"),
    ],
)
def test_a_missing_extra_is_named_as_the_index_has_it(
    command: str, extra: str, bare: Environment
) -> None:
    done = bare.run(*command.split(), ETL_DATABASE__URL=DEMO)

    assert done.returncode == 2
    assert f"hint: pip install 'gumloop-etl[{extra}]'\n" in done.stderr


def test_a_missing_driver_is_named_as_the_index_has_it(bare: Environment) -> None:
    done = bare.run("db", "current", ETL_DATABASE__URL="postgresql://127.0.0.1/gumloop")

    assert done.returncode == 2
    assert "hint: pip install 'gumloop-etl[postgres]'\n" in done.stderr


def test_reports_and_files_are_made_outside_the_repository(whole: Environment) -> None:
    report = whole.run("report", "--output", "report.html", ETL_DATABASE__URL=DEMO)
    export = whole.run("export", "--output", "lake", ETL_DATABASE__URL=DEMO)

    assert report.returncode == 0, report.stderr
    assert "</html>" in (whole.folder / "report.html").read_text(encoding="utf-8")
    assert export.returncode == 0, export.stderr
    assert list((whole.folder / "lake").rglob("*.parquet"))


def test_the_explorer_finds_its_words_outside_the_repository(whole: Environment) -> None:
    with whole.start("explore", "--port", "0", ETL_DATABASE__URL=DEMO) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        address = re.search(r"http://\S+", line)
        assert address, line
        with urllib.request.urlopen(address[0], timeout=60) as answer:
            page = answer.read().decode()
        process.send_signal(signal.SIGINT)
        process.stdout.read()

    assert process.returncode == 0
    assert "session_days" in page


def test_the_metadata_names_license_and_addresses(whole: Environment) -> None:
    (found,) = whole.python.parent.parent.glob("lib/python*/site-packages/gumloop_etl-*.dist-info")
    metadata = PathDistribution(found).metadata

    assert metadata["License-Expression"] == "Apache-2.0"
    assert len(metadata.get_all("Project-URL") or []) == len(PROJECT["urls"])
    assert "Typing :: Typed" in (metadata.get_all("Classifier") or [])


def test_no_secret_of_a_developer_gets_into_the_sdist(tmp_path: Path) -> None:
    secrets = ("config.toml", ".env", "gumloop_api_key", "deploy/kubernetes/base/secrets/api-key")
    tree = tmp_path / "tree"
    for name in ("pyproject.toml", ".gitignore", "README.md", "LICENSE", "etl/__init__.py"):
        copy(REPOSITORY / name, tree / name)
    for name in secrets:
        copy(REPOSITORY / "LICENSE", tree / name)
    (tmp_path / "sdist").mkdir()

    with tarfile.open(build(tree, "sdist", tmp_path / "sdist")) as archive:
        held = {name.partition("/")[2] for name in archive.getnames()}

    assert "etl/__init__.py" in held
    assert held & set(secrets) == set()


def copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(source.read_bytes())
