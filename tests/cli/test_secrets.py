"""Passwords in URLs: whatever they are made of, and however they are written, none is shown."""

import socket
import string
import threading
from collections.abc import Iterator
from contextlib import closing
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from etl.simulator import Simulator, World
from tests.cli.conftest import Command
from tests.process.project import Project
from tests.support.postgres import Cluster, free_port

COMMANDS = (["check"], ["status"], ["sync"])
MORE = (["check", "--json"], ["runs"], ["report"], ["export"], ["explore"])
MORE += (["db", "current"], ["db", "upgrade"])
MUST_BE_ENCODED = "@/?#%"
PRINTABLE = st.characters(exclude_categories=["C", "Z"])

sometimes = settings(
    max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def shown(etl: Command, *words: str, **env: str) -> str:
    done = etl(*words, **env)
    assert done.code in (1, 2), done
    return done.out + done.err


def leaks(password: str, text: str, harmless: str = "") -> list[str]:
    """Pieces of three characters of a password in a text, but for those that stand there anyway."""
    pieces = {password[at : at + 3] for at in range(len(password) - 2)}
    return sorted(piece for piece in pieces if piece in text and piece not in harmless)


def test_any_sign_in_a_password_of_the_database(etl: Command) -> None:
    port = free_port()
    for sign in string.punctuation:
        password = f"Zq7{sign}xKw9v{sign}Jz"
        for words in COMMANDS:
            url = f"postgresql://usr:{password}@127.0.0.1:{port}/dbname"
            said = shown(etl, *words, ETL_DATABASE__URL=url)

            assert leaks(password, said) == []
            assert ("percent-encode" in said) == (sign in MUST_BE_ENCODED), said
            assert ("PGPASSFILE" in said) == (sign in MUST_BE_ENCODED), said


@pytest.mark.parametrize("words", [*COMMANDS, *MORE], ids=" ".join)
def test_no_command_shows_a_password_or_connects(
    etl: Command, project: Project, words: list[str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0)
        host = f"127.0.0.1:{server.getsockname()[1]}"
        url = f"postgresql://usr:Zq7@xKw9v@{host}/dbname"
        options = ["--output", "out.html"] if words == ["report"] else []

        done = etl(*words, *options, ETL_DATABASE__URL=url)

        assert done.code == 2
        assert "database.url can be read in several ways" in done.out + done.err
        assert leaks("Zq7@xKw9v", done.out + done.err) == []
        with pytest.raises(BlockingIOError):
            server.accept()


def test_no_process_shows_a_password(project: Project, api: Simulator, world: World) -> None:
    project.database = "postgresql://usr:Zq7@xKw9v@127.0.0.1/dbname"
    project.configure(api.base_url, world.agent_ids())

    for words in (["check"], ["run"], ["backfill"]):
        done = project.run(*words)

        assert done.code == 2
        assert leaks("Zq7@xKw9v", done.out + done.err) == []


@pytest.fixture
def harmless(etl: Command) -> str:
    """What is said of URLs with other passwords."""
    hosts = ("127.0.0.1:9", "127.0.0.1:9,127.0.0.1:9")
    urls = [f"postgresql://usr:{one}@{host}/dbname" for one in ("-", "@@") for host in hosts]
    return "".join(shown(etl, *words, ETL_DATABASE__URL=url) for url in urls for words in COMMANDS)


@sometimes
@given(st.text(PRINTABLE, min_size=3, max_size=12))
def test_any_password_of_the_database(etl: Command, harmless: str, password: str) -> None:
    wrote = [password, quote(password, safe="")]
    urls = [f"postgresql://usr:{one}@127.0.0.1:9/dbname" for one in wrote]
    urls += [f"postgresql://usr@127.0.0.1:9/dbname?sslmode=disable&password={wrote[1]}"]
    urls += [f"postgresql://usr:{wrote[0]}@127.0.0.1:9,127.0.0.1:9/dbname"]

    for url in urls:
        for words in COMMANDS:
            assert leaks(password, shown(etl, *words, ETL_DATABASE__URL=url), harmless) == []


@pytest.mark.parametrize("query", ["?password=Zq7xKw9v", "?password=Zq7xKw9v&sslmode=prefer", ""])
def test_libpq_shows_no_password(etl: Command, postgres: Cluster, query: str) -> None:
    """A server that answers, and refuses."""
    server = postgres.admin_url.rsplit("/", 1)[0].rsplit("@", 1)[1]
    user = "nobody" if query else "nobody:Zq7xKw9v"

    for words in COMMANDS:
        said = shown(etl, *words, ETL_DATABASE__URL=f"postgresql://{user}@{server}/nowhere{query}")

        assert "nobody" in said
        assert leaks("Zq7xKw9v", said) == []


def test_an_option_that_is_a_piece_of_a_password_is_not_shown(etl: Command) -> None:
    url = "postgresql://usr@127.0.0.1/dbname?password=Zq7&xKw9v=Jz"

    for words in COMMANDS:
        said = shown(etl, *words, ETL_DATABASE__URL=url)

        assert "an option that PostgreSQL doesn't know" in said
        assert leaks("Zq7&xKw9v=Jz", said) == []


@pytest.mark.parametrize(
    "name", ["ETL_API__BASE_URL", "GUMLOOP_BASE_URL", "ETL_API__OAUTH__TOKEN_URL"]
)
def test_any_sign_in_the_user_info_of_the_api(etl: Command, name: str) -> None:
    for sign in string.punctuation:
        password = f"Zq7{sign}xKw9v{sign}Jz"
        for scheme in ("https", "ftp"):
            said = shown(etl, "sync", **{name: f"{scheme}://usr:{password}@127.0.0.1/api"})

            assert "must not carry a user or password" in said
            assert leaks(password, said) == []


def test_a_port_of_the_api_that_is_none_is_not_shown(etl: Command) -> None:
    said = shown(etl, "sync", ETL_API__BASE_URL="https://usr:Zq7xKw9v/api")

    assert "api.base_url is not a URL" in said
    assert leaks("Zq7xKw9v", said) == []


def test_any_sign_in_the_url_of_a_ping(etl: Command, project: Project) -> None:
    for sign in string.punctuation:
        password = f"Zq7{sign}xKw9v{sign}Jz"
        (project.folder / "ping").write_text(f"https://usr:{password}@[/ping")
        for env in (
            {"ETL_SERVICE__PING_URL": f"ftp://usr:{password}@127.0.0.1/ping"},
            {"ETL_SERVICE__PING_URL_FILE": "ping"},
        ):
            said = shown(etl, "run", **env)

            assert "service.ping_url" in said
            assert leaks(password, said) == []


@pytest.mark.parametrize("name", ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "HTTP_PROXY"])
def test_any_sign_in_a_password_of_a_proxy(etl: Command, name: str) -> None:
    env = {"ETL_API__BASE_URL": f"https://127.0.0.1:{free_port()}", "ETL_API__MAX_ATTEMPTS": "1"}
    proxy = f"127.0.0.1:{free_port()}"
    for sign in string.punctuation if name == "HTTPS_PROXY" else "@":
        password = f"Zq7{sign}xKw9v{sign}Jz"
        for scheme in ("http://", "", "socks5://", "ftp://") if sign in "@:" else ("http://",):
            said = shown(etl, "sync", **env, **{name: f"{scheme}usr:{password}@{proxy}"})

            assert leaks(password, said) == []
            if sign in MUST_BE_ENCODED:
                assert f"{name.upper()} is not a URL of a proxy" in said
                assert "percent-encode" in said


@pytest.mark.parametrize("hosts", ["[::1", "good,http://usr:Zq7xKw9v@h:xKw9v"])
def test_hosts_without_a_proxy_that_are_none(etl: Command, hosts: str) -> None:
    env = {"ETL_API__BASE_URL": "https://127.0.0.1:9", "NO_PROXY": hosts}

    done = etl("sync", **env)

    done.fails(2, "NO_PROXY")
    assert leaks("Zq7xKw9v", done.err) == []


def test_check_tells_of_a_proxy_beside_the_rest(etl: Command) -> None:
    env = {"ETL_API__BASE_URL": "https://127.0.0.1:9", "HTTPS_PROXY": "http://u:Zq7@xKw9v@[::1]:1"}

    done = etl("check", **env)

    assert done.code == 2
    assert "ok   database" in done.out
    assert "FAIL agents: HTTPS_PROXY is not a URL of a proxy" in done.out
    assert leaks("Zq7@xKw9v", done.out) == []


@pytest.fixture(params=["HTTP/1.1 407 {}", "HTTP/1.1 407 No\r\n{}", "{}"])
def echo(request: pytest.FixtureRequest) -> Iterator[int]:
    """The port of a proxy that repeats the request's credential, in HTTP or not."""

    def answer() -> None:
        while True:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            with connection:
                asked = connection.recv(65536).decode("latin-1")
                lines = [line for line in asked.split("\r\n") if line.lower().startswith("proxy-")]
                words = " ".join(lines).partition("Basic ")[2]
                connection.sendall(f"{request.param.format(words)}\r\n\r\n".encode())

    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)
        thread.join()


def test_a_proxy_that_repeats_its_credential(etl: Command, project: Project, echo: int) -> None:
    env = {"ETL_API__BASE_URL": "https://api.example", "ETL_API__MAX_ATTEMPTS": "1"}
    env["HTTPS_PROXY"] = f"http://usr:Zq7xKw9v@127.0.0.1:{echo}"

    for words in (["check"], ["sync"]):
        said = shown(etl, *words, **env)

        assert "sessions of agent" in said
        assert leaks("Zq7xKw9v", said) == []
        assert leaks("dXNyOlpxN3hLdzl2", said) == []  # in base64, as the header has it
    stored = "".join(text.decode("latin-1") for text in project.files().values())
    assert leaks("Zq7xKw9v", stored) == []
    assert "dXNyOlpxN3hLdzl2" not in stored
