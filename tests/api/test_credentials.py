"""Credentials that change at work: files that are replaced, and OAuth grants that are renewed."""

import logging
import os
import resource
import signal
import stat
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from etl.api.client import Client
from etl.api.credentials import make_source
from etl.api.credentials.oauth import Grant
from etl.api.rate_limit import RateLimiter
from etl.config import Api, OAuth
from etl.credentials import Credentials, CredentialSource
from etl.errors import ConfigError, Denied, EtlError, Transient
from etl.models import Counts
from etl.simulator import Fault, Simulator, World

TOKEN_PATH = "/oauth/token"


@pytest.fixture
def world() -> World:
    return World.generate(agents=1, sessions=30, seed=4)


@pytest.fixture
def sim(world: World) -> Iterator[Simulator]:
    with Simulator(world) as running:
        yield running


Ask = Callable[[CredentialSource], None]


@pytest.fixture
def ask(sim: Simulator) -> Iterator[Ask]:
    """Sends one request with a source's credential; raises what the client raises."""
    with ExitStack() as stack:
        clients: dict[int, Client] = {}

        def send(source: CredentialSource) -> None:
            if id(source) not in clients:
                api = Api(base_url=sim.base_url, max_attempts=2, timeout=60, concurrency=16)
                client = Client(api, source, limiter=RateLimiter(draw=lambda: 0.0))
                clients[id(source)] = stack.enter_context(client)
            clients[id(source)].fetch_page(sim.world.agent_ids()[0], Counts())

        yield send


def renewals(sim: Simulator) -> int:
    return sum(request.path == TOKEN_PATH for request in list(sim.requests))


# -- a file ------------------------------------------------------------------------------------


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    file = tmp_path / "secret"
    file.write_text("sim-token\n")
    return file


def source_in(file: Path) -> CredentialSource:
    return make_source(Api(), environ={"GUMLOOP_ACCESS_TOKEN_FILE": str(file)})


def test_a_file_that_changes_is_read_anew(sim: Simulator, secret: Path, ask: Ask) -> None:
    source = source_in(secret)
    ask(source)
    sim.credentials.token = "sim-token-2"
    secret.write_text("sim-token-2\n")

    ask(source)

    assert 401 not in [request.status for request in sim.requests]


def test_a_file_that_was_replaced_is_read_anew(sim: Simulator, secret: Path, ask: Ask) -> None:
    source = source_in(secret)
    ask(source)
    sim.credentials.token = "sim-tokem"
    new = secret.with_name("new")
    new.write_text("sim-tokem\n")
    new.replace(secret)

    ask(source)

    assert 401 not in [request.status for request in sim.requests]


def test_a_change_that_the_file_does_not_show_is_seen_at_a_401(
    sim: Simulator, secret: Path, ask: Ask
) -> None:
    source = source_in(secret)
    ask(source)
    was = secret.stat()
    sim.credentials.token = "sim-tokem"
    secret.write_text("sim-tokem\n")
    os.utime(secret, ns=(was.st_atime_ns, was.st_mtime_ns))

    ask(source)

    assert [request.status for request in sim.requests] == [200, 401, 200]


@pytest.mark.parametrize("content", ["", "\n", "two words", "\x00", None], ids=repr)
def test_a_file_that_is_gone_or_no_secret_changes_nothing(
    secret: Path, ask: Ask, content: str | None
) -> None:
    source = source_in(secret)
    ask(source)
    if content is None:
        secret.unlink()
    else:
        secret.write_text(content)

    ask(source)
    ask(source)


def test_half_a_secret_is_refused_once_and_the_one_before_goes_on(
    sim: Simulator, secret: Path, ask: Ask
) -> None:
    source = source_in(secret)
    ask(source)
    secret.write_text("sim-to")

    ask(source)
    ask(source)

    assert [request.status for request in sim.requests] == [200, 401, 200, 200]
    secret.write_text("sim-token\n")
    ask(source)
    assert 401 not in [request.status for request in sim.requests][4:]


def test_a_right_secret_that_was_refused_for_a_while_comes_back(
    sim: Simulator, secret: Path, ask: Ask
) -> None:
    source = source_in(secret)
    ask(source)
    sim.credentials.token = "sim-token-2"
    secret.write_text("sim-token-2")
    ask(source)
    sim.add_fault(Fault("status", status=401, times=4))
    for _ in range(2):
        with pytest.raises(Denied):
            ask(source)

    ask(source)

    assert [request.status for request in sim.requests][-2:] == [401, 200]


def test_a_file_whose_secret_is_refused_is_told_as_ever(secret: Path, ask: Ask) -> None:
    source = source_in(secret)
    secret.write_text("wrong-and-never-shown")

    with pytest.raises(Denied) as caught:
        ask(source_in(secret))

    assert caught.value.status == 401
    assert "wrong" not in f"{caught.value} {source!r} {source}"


def test_a_key_in_a_file_keeps_its_user_and_team(secret: Path) -> None:
    environ = {"GUMLOOP_API_KEY_FILE": str(secret), "GUMLOOP_USER_ID": "me"}
    source = make_source(Api(), environ={**environ, "GUMLOOP_TEAM_ID": "team"})
    secret.write_text("other-key")

    assert source.get_current().make_headers() == {
        "authorization": "Bearer other-key",
        "x-auth-key": "me",
    }
    assert source.team_id == "team"
    assert "GUMLOOP_API_KEY_FILE" in source.describe()


def test_a_value_in_the_environment_is_its_own_source() -> None:
    source = make_source(Api(), environ={"GUMLOOP_ACCESS_TOKEN": "t"})

    assert source.get_current() is source
    assert not source.renew(source)


# -- a grant -----------------------------------------------------------------------------------


class Clock:
    """A clock that stands, and is set on by hand."""

    def __init__(self) -> None:
        self.now = datetime.now(UTC)

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def file(tmp_path: Path) -> Path:
    folder = tmp_path / "grant"
    folder.mkdir()
    (folder / "refresh").write_text("sim-refresh\n")
    return folder / "refresh"


@pytest.fixture
def clock() -> Clock:
    return Clock()


Make = Callable[..., Grant]


@pytest.fixture
def grant(sim: Simulator, file: Path, clock: Clock) -> Make:
    """Makes a grant as another process would have it: nothing is shared but the file."""

    def make(**changes: str) -> Grant:
        keys = {"client_id": "c", "refresh_token_file": str(file), **changes}
        return Grant(Api(base_url=sim.base_url, timeout=60, oauth=OAuth(**keys)), clock=clock)

    return make


def test_a_token_is_fetched_once_and_used(sim: Simulator, grant: Make, ask: Ask) -> None:
    source = grant()
    for _ in range(3):
        ask(source)

    assert renewals(sim) == 1
    assert {request.status for request in sim.requests} == {200}


def test_it_is_renewed_ahead_of_its_end(
    sim: Simulator, grant: Make, clock: Clock, ask: Ask
) -> None:
    source = grant()
    ask(source)
    clock.now += timedelta(minutes=54)
    ask(source)
    assert renewals(sim) == 1
    clock.now += timedelta(minutes=2)

    ask(source)

    assert renewals(sim) == 2
    assert 401 not in [request.status for request in sim.requests]


def test_it_is_renewed_at_a_401_once_for_all_threads(sim: Simulator, grant: Make, ask: Ask) -> None:
    source = grant()
    ask(source)
    sim.credentials.expire()
    failures: list[EtlError] = []
    together = threading.Barrier(12)

    def work() -> None:
        together.wait()
        try:
            for _ in range(4):
                ask(source)
        except EtlError as error:
            failures.append(error)

    threads = [threading.Thread(target=work) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert failures == []
    assert renewals(sim) == 2


def test_the_rotated_token_is_stored_private_with_its_owner(
    sim: Simulator, grant: Make, file: Path, ask: Ask
) -> None:
    file.chmod(0o644)
    if os.geteuid() == 0:
        os.chown(file, 12345, 23456)
    owner = file.stat()

    ask(grant())

    found = file.stat()
    assert file.read_text() == f"{sim.credentials.refresh_token}\n"
    assert stat.S_IMODE(found.st_mode) == 0o600
    assert (found.st_uid, found.st_gid) == (owner.st_uid, owner.st_gid)
    assert sorted(path.name for path in file.parent.iterdir()) == [
        "refresh",
        "refresh.access",
        "refresh.lock",
    ]
    assert {stat.S_IMODE(path.stat().st_mode) for path in file.parent.iterdir()} == {0o600}


def test_a_link_stays_a_link(
    sim: Simulator, grant: Make, file: Path, tmp_path: Path, ask: Ask
) -> None:
    link = tmp_path / "link"
    link.symlink_to(file)

    ask(grant(refresh_token_file=str(link)))

    assert link.is_symlink()
    assert file.read_text().strip() == sim.credentials.refresh_token


def test_a_grant_that_does_not_rotate_keeps_its_file(
    sim: Simulator, grant: Make, file: Path, ask: Ask
) -> None:
    sim.credentials.rotates = False
    before = file.stat()
    source = grant()
    ask(source)
    sim.credentials.expire()

    ask(source)

    assert (file.stat().st_ino, file.read_text()) == (before.st_ino, "sim-refresh\n")
    assert renewals(sim) == 2


def test_another_process_takes_over_what_was_renewed(sim: Simulator, grant: Make, ask: Ask) -> None:
    first, second = grant(), grant()
    ask(first)
    ask(second)
    assert renewals(sim) == 1
    sim.credentials.expire()

    ask(second)
    ask(first)
    ask(grant())

    assert renewals(sim) == 2


def test_the_token_of_another_grant_is_not_taken(
    sim: Simulator, grant: Make, file: Path, ask: Ask
) -> None:
    ask(grant())
    sim.credentials.refresh_token = "of-another-user"
    file.write_text("of-another-user")

    ask(grant())

    assert renewals(sim) == 2


@pytest.mark.parametrize("junk", [b"", b"{", b"\xff\x00", b"null"])
def test_a_spoilt_kept_token_costs_a_renewal(
    sim: Simulator, grant: Make, file: Path, ask: Ask, junk: bytes
) -> None:
    ask(grant())
    (file.parent / "refresh.access").write_bytes(junk)

    ask(grant())

    assert renewals(sim) == 2


OUTAGES = [
    Fault("status", path=TOKEN_PATH, status=503, times=None),
    Fault("status", path=TOKEN_PATH, status=429, times=None),
    Fault("reset", path=TOKEN_PATH, times=None),
    Fault("garbage", path=TOKEN_PATH, form="html", times=None),
    Fault("truncate", path=TOKEN_PATH, times=None),
]


@pytest.mark.parametrize("outage", OUTAGES, ids=lambda fault: fault.kind)
def test_in_an_outage_the_valid_token_is_used_to_its_end(
    sim: Simulator, grant: Make, clock: Clock, ask: Ask, outage: Fault
) -> None:
    sim.credentials.rotates = False  # a reply that is cut off would take the new token along
    source = grant()
    ask(source)
    sim.add_fault(outage)
    clock.now += timedelta(minutes=57)
    ask(source)
    ask(source)
    assert renewals(sim) == 2, "one try, then a pause"

    clock.now += timedelta(minutes=3)
    with pytest.raises(EtlError) as caught:
        ask(source)
    assert not isinstance(caught.value, Denied)
    sim.clear_faults()
    ask(source)


def test_an_outage_is_tried_again_as_any_other(sim: Simulator, grant: Make, ask: Ask) -> None:
    sim.add_fault(Fault("status", path=TOKEN_PATH, status=502))

    ask(grant())

    assert renewals(sim) == 2


def test_a_dead_grant_is_one_sentence_with_a_hint(
    sim: Simulator, grant: Make, file: Path, ask: Ask
) -> None:
    source = grant()
    ask(source)
    sim.credentials.revoke()
    sim.credentials.expire()

    for _ in range(3):
        with pytest.raises(Denied) as caught:
            ask(source)
        assert "invalid_grant" in caught.value.message
        assert "refresh_token_file" in caught.value.hint
        assert caught.value.exit_code == 1
    assert renewals(sim) == 2, "a dead grant isn't asked again and again"

    sim.credentials.refresh_token = "authorized-anew"
    file.write_text("authorized-anew")
    ask(source)


def test_a_dead_grant_leaves_the_valid_token_its_life(
    sim: Simulator, grant: Make, clock: Clock, ask: Ask, caplog: pytest.LogCaptureFixture
) -> None:
    source = grant()
    ask(source)
    sim.credentials.revoke()
    clock.now += timedelta(minutes=57)

    ask(source)

    assert "invalid_grant" in caplog.text


def test_a_token_that_another_host_rotated_is_read_before_the_grant_is_called_dead(
    sim: Simulator, grant: Make, file: Path, ask: Ask
) -> None:
    source = grant()

    def rotate_elsewhere(request: object) -> None:
        sim.on_request = None
        sim.credentials.refresh_token = "rotated-elsewhere"
        file.write_text("rotated-elsewhere\n")

    sim.on_request = rotate_elsewhere

    ask(source)

    assert [r.status for r in sim.requests if r.path == TOKEN_PATH] == [400, 200]


def test_a_fresh_token_that_is_refused_is_not_renewed_again_and_again(
    sim: Simulator, grant: Make, ask: Ask
) -> None:
    source = grant()
    sim.add_fault(Fault("status", path="/api/", status=401, code="invalid_token", times=None))

    for _ in range(5):
        with pytest.raises(Denied):
            ask(source)

    assert renewals(sim) == 2


def test_a_redirect_is_not_followed(sim: Simulator, grant: Make, ask: Ask) -> None:
    with Simulator(World.generate(agents=1, sessions=1)) as other:
        headers = {"Location": f"{other.root_url}{TOKEN_PATH}"}
        sim.add_fault(Fault("status", path=TOKEN_PATH, status=307, headers=headers, times=None))

        with pytest.raises(Denied, match="307"):
            ask(grant())

        assert other.requests == []


def test_a_folder_that_cannot_be_written_is_told_before_a_token_is_spent(
    sim: Simulator, grant: Make, file: Path, ask: Ask
) -> None:
    # A folder in the way of the new file: root may write everywhere.
    (file.parent / ".refresh.new").mkdir()

    with pytest.raises(EtlError, match="can't be written"):
        ask(grant())

    assert renewals(sim) == 0
    assert sim.credentials.refresh_token == "sim-refresh"


def test_a_full_disk_is_told_before_a_token_is_spent(
    sim: Simulator, grant: Make, file: Path, ask: Ask
) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, before[1]))
    try:
        with pytest.raises(EtlError, match="can't be written"):
            ask(grant())
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)

    assert renewals(sim) == 0
    assert {path.name for path in file.parent.iterdir()} == {"refresh", "refresh.lock"}
    ask(grant())


def test_a_new_token_that_cannot_be_stored_is_known_and_stored_later(
    sim: Simulator,
    grant: Make,
    file: Path,
    ask: Ask,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def broken(_: int) -> None:
        raise OSError(5, "Input/output error")

    source = grant()
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", broken)
        ask(source)
    assert file.read_text() == "sim-refresh\n"
    assert "in memory alone" in caplog.text
    sim.credentials.expire()

    ask(source)

    assert file.read_text().strip() == sim.credentials.refresh_token


@pytest.mark.parametrize("content", [None, "", "two words"])
def test_no_refresh_token_to_begin_with_is_a_matter_of_configuration(
    grant: Make, file: Path, content: str | None
) -> None:
    if content is None:
        file.unlink()
    else:
        file.write_text(content)

    with pytest.raises(ConfigError, match="refresh_token_file"):
        grant()


def test_a_refresh_token_that_is_gone_at_work_may_come_back(
    sim: Simulator, grant: Make, file: Path, ask: Ask
) -> None:
    source = grant()
    ask(source)
    kept = file.read_text()
    file.unlink()
    ask(source)
    sim.credentials.expire()
    with pytest.raises(Transient):
        ask(source)
    file.write_text(kept)

    ask(source)


def test_the_token_endpoint_is_at_the_apis_host_by_default(
    sim: Simulator, grant: Make, ask: Ask
) -> None:
    ask(grant(token_url=f"{sim.root_url}{TOKEN_PATH}"))
    ask(grant())

    assert renewals(sim) == 1, "they are one grant, so the second took the first one's token"


def test_the_source_is_the_grant_where_one_is_configured(sim: Simulator, file: Path) -> None:
    api = Api(base_url=sim.base_url, oauth=OAuth("c", None, str(file)))
    source = make_source(api, environ={"GUMLOOP_ACCESS_TOKEN": "t", "GUMLOOP_TEAM_ID": "team_ops"})

    assert isinstance(source, Grant)
    assert source.team_id == "team_ops"


@pytest.mark.parametrize("code", ["{refresh}", "{access}"])
def test_no_secret_is_shown_even_if_a_server_echoes_it(
    sim: Simulator, grant: Make, ask: Ask, caplog: pytest.LogCaptureFixture, code: str
) -> None:
    caplog.set_level(logging.DEBUG)
    source = grant()
    ask(source)
    described = source.describe()
    refresh, access = sim.credentials.refresh_token, source.get_current().token
    echoed = code.format(refresh=refresh, access=access)
    fault = {"shape": 4, "code": echoed, "message": f"no {echoed}", "times": None}
    sim.add_fault(Fault("status", path=TOKEN_PATH, status=400, **fault))
    sim.add_fault(Fault("status", path="/api/", status=401, **fault))

    with pytest.raises(Denied) as caught:
        ask(source)

    shown = f"{caught.value!r} {caught.value} {source!r} {described} {caplog.text}"
    assert "***" in str(caught.value)
    for one in (refresh, access, "sim-refresh"):
        assert one not in shown


def test_a_bare_credential_is_refused_as_ever(sim: Simulator, ask: Ask) -> None:
    with pytest.raises(Denied):
        ask(Credentials("wrong"))

    assert len(sim.requests) == 1
