"""Settings and credentials: every key, where it may come from, and what a mistake is told."""

import tomllib
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from etl import config
from etl.config import Duration, Names, Settings, parse_duration
from etl.credentials import Credentials
from etl.errors import ConfigError
from etl.input.config_file import convert_tables, find_config, read_settings

EXAMPLE = Path(__file__).parents[1] / "config.example.toml"
SECRET = "gum_s3cr3t"

WHOLE = """
[api]
base_url = "https://api.example.com/v1"
page_size = 50
timeout = 12.5
max_attempts = 3
max_wait = "10m"
requests_per_second = 2.5
concurrency = 4

[api.oauth]
client_id = "client"
token_url = "https://login.example.com/token"
refresh_token_file = "/run/refresh-token"

[database]
url = "sqlite:///other.db"

[sync]
lookback = "2h"
since = "2026-01-01"
idle_recheck = "3d"
walkers = 5
seek = false
transcripts = true
transcripts_per_run = 50

[schedule]
every = "30s"
cron = "*/5 * * * *"
jitter = "10s"
reconcile = "off"
timezone = "Europe/Vienna"

[service]
listen = "[::1]:9464"
ready_within = "2h"
ping_url = "https://ping.example/secret"
ping_url_file = "/run/secrets/ping"
log = "json"
log_level = "warning"

[discovery]
own = true
teams = ["Growth", "team_ops"]
include = ["Sales*", "a?"]
exclude = ["*[Tt]est*"]

[privacy]
emails = "hash"
names = "drop"

[retention]
transcripts = "90d"
payloads = "30d"
runs = "180d"

[lake]
target = "s3://bucket/path"
every = "2h"

[[agents]]
id = "a"
name = "First"

[[agents]]
id = "b"
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "config.toml"


def loaded(file: Path, text: str = "", **environ: str) -> Settings:
    file.write_text(text, encoding="utf-8")
    return read_settings(file, environ)


def refusal(file: Path, text: str = "", **environ: str) -> str:
    with pytest.raises(ConfigError) as caught:
        loaded(file, text, **environ)
    assert caught.value.exit_code == 2
    return str(caught.value)


def flat(tables: dict[str, Any]) -> dict[str, Any]:
    """The keys of all tables, `agents` left out, as `table.key` or `table.table.key`."""
    found: dict[str, Any] = {}
    for name, value in tables.items():
        if isinstance(value, dict):
            found |= {f"{name}.{key}": inner for key, inner in flat(value).items()}
        elif name != "agents":
            found[name] = value
    return found


def keys_of(table: Any) -> Any:
    """A struct as tables of keys."""
    fields = getattr(table, "__struct_fields__", None)
    return table if fields is None else {key: keys_of(getattr(table, key)) for key in fields}


def defaults() -> dict[str, Any]:
    return flat(keys_of(Settings()))


def test_every_key_can_be_set(file: Path) -> None:
    read = loaded(file, WHOLE)
    oauth = config.OAuth("client", "https://login.example.com/token", "/run/refresh-token")

    assert read == Settings(
        config.Api("https://api.example.com/v1", 50, 12.5, 3, 2.5, 4, oauth, Duration(minutes=10)),
        config.Database("sqlite:///other.db"),
        config.Sync(Duration(hours=2), "2026-01-01", Duration(days=3), 5, False, True, 50),
        config.Schedule(
            Duration(seconds=30), "*/5 * * * *", Duration(seconds=10), "off", "Europe/Vienna"
        ),
        config.Service(
            "[::1]:9464",
            Duration(hours=2),
            "https://ping.example/secret",
            "/run/secrets/ping",
            "json",
            "warning",
        ),
        (config.Agent("a", "First"), config.Agent("b")),
        config.Discovery(
            own=True,
            teams=Names(("Growth", "team_ops")),
            include=Names(("Sales*", "a?")),
            exclude=Names(("*[Tt]est*",)),
        ),
        config.Privacy("hash", "drop"),
        config.Retention(Duration(days=90), Duration(days=30), Duration(days=180)),
        config.Lake("s3://bucket/path", Duration(hours=2)),
    )
    assert flat(tomllib.loads(WHOLE)).keys() == defaults().keys(), "a key has no test here"


def test_an_empty_file_means_the_defaults(file: Path) -> None:
    assert loaded(file) == Settings()


CLIENT, FILE = "api.oauth.client_id", "api.oauth.refresh_token_file"
HALVES = {CLIENT: FILE, FILE: CLIENT}
"""Keys that only go with another one."""


@pytest.mark.parametrize("key", flat(tomllib.loads(WHOLE)))
def test_every_key_can_be_overridden_from_the_environment(file: Path, key: str) -> None:
    wanted = flat(keys_of(loaded(file, WHOLE)))
    value = flat(tomllib.loads(WHOLE))[key]
    said = ",".join(value) if isinstance(value, list) else str(value)
    environ = {f"ETL_{key.replace('.', '__')}".upper(): said}
    if key in HALVES:
        environ |= {f"ETL_{HALVES[key].replace('.', '__')}".upper(): "x"}

    assert flat(keys_of(loaded(file, "", **environ)))[key] == wanted[key]


def test_the_environment_goes_before_the_file(file: Path) -> None:
    read = loaded(file, WHOLE, ETL_API__PAGE_SIZE="7", ETL_DATABASE__URL="sqlite://")

    assert (read.api.page_size, read.database.url) == (7, "sqlite://")
    assert read.api.max_attempts == 3


def test_an_empty_variable_counts_as_unset(file: Path) -> None:
    assert loaded(file, WHOLE, ETL_API__PAGE_SIZE="").api.page_size == 50


def test_agents_can_be_listed_in_the_environment(file: Path) -> None:
    read = loaded(file, WHOLE, ETL_AGENTS="x, y,,z")

    assert [agent.id for agent in read.agents] == ["x", "y", "z"]


def test_the_sdks_base_url_is_honoured_and_ours_goes_before_it(file: Path) -> None:
    theirs, ours = "https://theirs.example/v1", "https://ours.example/v1"

    assert loaded(file, WHOLE, GUMLOOP_BASE_URL=theirs).api.base_url == theirs
    both = loaded(file, WHOLE, GUMLOOP_BASE_URL=theirs, ETL_API__BASE_URL=ours)
    assert both.api.base_url == ours


def test_other_variables_are_left_alone(file: Path) -> None:
    assert loaded(file, ETL_CONFIG="x", ETL_TEST="1", HOME="/", ETLX__Y="1") == Settings()


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("ETL_DATABASE_URL", "ETL_DATABASE__URL"),
        ("ETL_AGENT", "ETL_AGENTS"),
        ("ETL_CONFG", "ETL_CONFIG"),
        ("ETL_API_OAUTH_CLIENT_ID", "ETL_API__OAUTH__CLIENT_ID"),
    ],
)
def test_a_variable_that_lacks_an_underscore_is_refused(file: Path, name: str, meant: str) -> None:
    with pytest.raises(ConfigError, match=name) as refused:
        loaded(file, WHOLE, **{name: "x"})

    assert refused.value.hint == f"did you mean {meant}?"


def test_beside_the_right_variable_another_programs_is_left_alone(file: Path) -> None:
    read = loaded(file, WHOLE, ETL_DATABASE_URL="theirs", ETL_DATABASE__URL="sqlite:///ours.db")

    assert read.database.url == "sqlite:///ours.db"


UNKNOWN = {
    "[api]\npage_sise = 1": ("api.page_sise", "did you mean page_size?"),
    "[sync]\nlook_back = '1h'": ("sync.look_back", "did you mean lookback?"),
    "[shedule]\nevery = '1h'": ("[shedule]", "did you mean schedule?"),
    "[[agents]]\nid = 'a'\nnane = 'b'": ("agents.nane", "did you mean name?"),
    "[api.oauth]\nclientid = 'x'": ("api.oauth.clientid", "did you mean client_id?"),
    "[api]\nzzz = 1": ("api.zzz", "known here: base_url, page_size"),
    "page_size = 1": ("page_size", "did you mean [api] page_size?"),
    "token = 'x'": ("token", "known here: api, database"),
    "[sync]\nevery = '5m'": ("sync.every", "did you mean [schedule] every?"),
}


@pytest.mark.parametrize("text", UNKNOWN)
def test_an_unknown_key_is_named_with_the_one_that_was_meant(file: Path, text: str) -> None:
    key, hint = UNKNOWN[text]

    told = refusal(file, text)

    assert "unknown key" in told
    assert key in told
    assert hint in told


def test_an_unknown_key_in_the_environment_is_named(file: Path) -> None:
    assert "page_size" in refusal(file, ETL_API__PAGESIZE="5")
    assert "schedule" in refusal(file, ETL_SHEDULE__EVERY="5m")


def test_an_unknown_key_is_blamed_on_what_holds_it(file: Path) -> None:
    good = "[api]\npage_size = 5"

    assert refusal(file, "[api]\nzzz = 1", ETL_API__TIMEOUT="9").startswith(f"{file}: ")
    assert refusal(file, good, ETL_API__ZZZ="9").startswith("ETL_API__ZZZ: ")
    assert refusal(file, "[api]\ntimeout = 'x'", ETL_SYNC__SEEK="no").startswith(f"{file}: api.")
    wrong = refusal(file, good, ETL_API__TIMEOUT="x", ETL_SYNC__SEEK="no")
    assert wrong.startswith("ETL_API__TIMEOUT: api.timeout: ")


WRONG = {
    "[api]\npage_size = 0": "api.page_size",
    "[api]\npage_size = 101": "api.page_size",
    "[api]\npage_size = 'many'": "api.page_size",
    "[api]\npage_size = 1.5": "api.page_size",
    "[api]\ntimeout = 0": "api.timeout",
    "[api]\ntimeout = -1": "api.timeout",
    "[api]\nmax_attempts = 0": "api.max_attempts",
    "[api]\nmax_wait = 300": "api.max_wait",
    "[api]\nrequests_per_second = -1": "api.requests_per_second",
    "[api]\nconcurrency = 0": "api.concurrency",
    "[api]\nbase_url = 7": "api.base_url",
    "[database]\nurl = 7": "database.url",
    "[sync]\nwalkers = 0": "sync.walkers",
    "[sync]\nsince = 7": "sync.since",
    "[sync]\nsince = ''": "since",
    "[schedule]\nevery = '0s'": "schedule.every",
    "[schedule]\nreconcile = ''": "reconcile",
    "[service]\nlisten = 'localhost'": "service.listen",
    "[service]\nlisten = ':9464'": "service.listen",
    "[service]\nlisten = '127.0.0.1:65536'": "service.listen",
    "[service]\nlisten = '::1:9464'": "service.listen",
    "[service]\nlisten = '127.0.0.1:\u0661'": "service.listen",
    "[service]\nready_within = '0s'": "service.ready_within",
    "[privacy]\nemails = 'encrypt'": "privacy.emails",
    "[privacy]\nnames = true": "privacy.names",
    "[privacy]\nsalt = 'x'": "privacy.salt",
    "[retention]\nruns = '0s'": "retention.runs",
    "[retention]\ntranscripts = 'long'": "retention.transcripts",
    "[retention]\npayloads = 30": "retention.payloads",
    "[service]\nready_within = 'soon'": "service.ready_within",
    "[service]\nlog = 'xml'": "service.log",
    "[service]\nlog_level = 'loud'": "service.log_level",
    "[[agents]]\nid = ''": "agents",
    "[[agents]]\nid = '  '": "agents",
    "[[agents]]\nname = 'x'": "agents",
    "[agents]\nid = 'x'": "agents",
    "agents = 'x'": "agents",
    "agents = ['x']": "agents",
    "api = 7": "api",
    "[api]\noauth = 7": "api.oauth",
    "[api.oauth]\nclient_id = 7": "api.oauth.client_id",
    "[api.oauth]\nclient_id = 'x'": "refresh_token_file",
    "[api.oauth]\nrefresh_token_file = 'x'": "client_id",
    "[api.oauth]\ntoken_url = 'http://login.example.com/token'": "api.oauth.token_url",
    "[api.oauth]\ntoken_url = 'https://me:pass@login.example.com/'": "api.oauth.token_url",
    "[discovery]\nown = 'perhaps'": "discovery.own",
    "[discovery]\nteams = ['']": "discovery.teams",
    "[discovery]\nteams = 7": "discovery.teams",
    "[discovery]\ninclude = [7]": "discovery.include",
    "[discovery]\nexclude = ['a', '']": "discovery.exclude",
    "[[agents]]\nid = 'gumball'": "alias",
    "[[agents]]\nid = ' Analytics'": "alias",
    "[[api]]\npage_size = 1": "api",
}


@pytest.mark.parametrize("text", WRONG)
def test_a_wrong_value_is_told_with_its_key(file: Path, text: str) -> None:
    assert WRONG[text] in refusal(file, text)


def test_a_word_that_is_none_of_a_few_is_told_with_those(file: Path) -> None:
    assert 'expected one of "keep", "hash", "drop"' in refusal(file, "[privacy]\nemails = 'hide'")
    assert 'expected a whole number above 0 or "auto"' in refusal(file, "[sync]\nwalkers = 'many'")


def test_an_agent_without_an_id_or_in_one_bracket_is_told_so(file: Path) -> None:
    assert "agents[0]: the key id is missing" in refusal(file, "[[agents]]\nname = 'x'")
    assert "expected a list, got a table; write [[agents]]" in refusal(file, "[agents]\nid = 'x'")


def test_a_zone_that_is_none_is_told_with_the_one_that_was_meant(file: Path) -> None:
    told = refusal(file, "[schedule]\ntimezone = 'europe/Viena'")

    assert "schedule.timezone" in told
    assert "did you mean Europe/Vienna?" in told


AS_WINDOWS_WRITES = {"utf-8-sig": b"\xef\xbb\xbf", "utf-16": b"\xff\xfe", "utf-8": b""}


@pytest.mark.parametrize("encoding", AS_WINDOWS_WRITES)
def test_files_are_read_as_windows_writes_them(file: Path, tmp_path: Path, encoding: str) -> None:
    key = tmp_path / "key.txt"
    key.write_bytes(f"{SECRET}\r\n".encode(encoding))
    file.write_bytes(WHOLE.replace("First", "F\u00fcrst").replace("\n", "\r\n").encode(encoding))
    assert file.read_bytes().startswith(AS_WINDOWS_WRITES[encoding])

    assert read_settings(file, {}).agents[0].name == "F\u00fcrst"
    assert Credentials.from_environment({"GUMLOOP_ACCESS_TOKEN_FILE": str(key)}).token == SECRET


@pytest.mark.parametrize("id", [" a", "a ", "\ta\u00a0"])
def test_spaces_around_an_agents_id_are_left_out(file: Path, id: str) -> None:
    read = loaded(file, f'[[agents]]\nid = "{id}"'.replace("\t", "\\t"))

    assert read.agents == (config.Agent("a"),)
    assert "listed twice" in refusal(
        file, f'[[agents]]\nid = "{id.strip()} "\n[[agents]]\nid = "a"'
    )


@pytest.mark.parametrize("number", ["nan", "inf"])
@pytest.mark.parametrize("key", ["timeout", "requests_per_second"])
def test_numbers_of_seconds_are_finite(file: Path, key: str, number: str) -> None:
    assert f"api.{key}" in refusal(file, f"[api]\n{key} = {number}")


@pytest.mark.parametrize("key", ["sync.lookback", "sync.idle_recheck", "schedule.every"])
@pytest.mark.parametrize("value", ["'soon'", "'15'", "''", "'-1h'", "'1 h'", "'1y'", "15", "true"])
def test_a_bad_duration_is_told_with_its_key_and_what_it_wants(
    file: Path, key: str, value: str
) -> None:
    table, name = key.split(".")

    told = refusal(file, f"[{table}]\n{name} = {value}")

    assert key in told
    assert "15m" in told


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("30s", 30),
        ("15m", 900),
        ("2h", 7200),
        ("7d", 604800),
        ("1w", 604800),
        ("1h30m", 5400),
        ("1.5h", 5400),
        ("0s", 0),
    ],
)
def test_durations(text: str, seconds: float) -> None:
    assert parse_duration(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    "text", ["", "s", "5", "1 h", "-1h", "1H", "1h ", "9" * 30 + "d", "\u0661h", "1h\n"]
)
def test_anything_else_is_no_duration(text: str) -> None:
    with pytest.raises(ValueError, match="a duration like"):
        parse_duration(text)


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=12))
def test_a_duration_is_read_or_refused(text: str) -> None:
    try:
        duration = parse_duration(text)
    except ValueError:
        return

    assert duration >= timedelta(0)


def test_an_agent_listed_twice_is_refused(file: Path) -> None:
    told = refusal(file, "[[agents]]\nid = 'x'\n[[agents]]\nid = 'x'\nname = 'again'")

    assert "'x'" in told
    assert "twice" in told
    assert "twice" in refusal(file, ETL_AGENTS="x,x")


def test_an_agent_id_of_other_bytes_is_refused(file: Path) -> None:
    assert "not UTF-8" in refusal(file, ETL_AGENTS="good,b\udc80d")


BAD_URLS = [
    "",
    "api.gumloop.com",
    "ftp://api.gumloop.com",
    "https://",
    "https://host:port",
    "https://host:99999",
    "https://[::1",
    "file:///etc/passwd",
]


@pytest.mark.parametrize("url", BAD_URLS)
def test_a_bad_base_url_is_refused(file: Path, url: str) -> None:
    assert "api.base_url" in refusal(file, f"[api]\nbase_url = '{url}'")


def test_a_password_in_the_base_url_is_refused_and_not_shown(file: Path) -> None:
    told = refusal(file, f"[api]\nbase_url = 'https://me:{SECRET}@api.gumloop.com'")

    assert "api.base_url" in told
    assert SECRET not in told


def test_a_password_in_a_base_url_that_is_wrong_otherwise_is_not_shown(file: Path) -> None:
    assert SECRET not in refusal(file, f"[api]\nbase_url = 'ftp://me:{SECRET}@api.gumloop.com'")


LOOPBACK = [
    "localhost",
    "localhost:8080",
    "127.0.0.1",
    "127.1.2.3:80",
    "[::1]",
    "[::1]:80",
    "LOCALHOST",
]


@pytest.mark.parametrize("host", LOOPBACK)
def test_plain_http_stays_on_this_machine(file: Path, host: str) -> None:
    assert loaded(file, f"[api]\nbase_url = 'http://{host}/v1'").api.base_url


ELSEWHERE = [
    "api.gumloop.com",
    "localhost.example.com",
    "127.0.0.1.example.com",
    "0.0.0.0",
    "10.0.0.1",
    "128.0.0.1",
    "[::2]",
]


@pytest.mark.parametrize("host", ELSEWHERE)
def test_plain_http_to_anywhere_else_is_refused(file: Path, host: str) -> None:
    told = refusal(file, f"[api]\nbase_url = 'http://{host}/v1'")

    assert "plain http" in told
    assert "https" in told


BAD_PINGS = [
    "http://ping.example/{}",
    "ping.example/{}",
    "ftp://127.0.0.1/{}",
    "https:///{}",
    "https://[::1/{}",
    "https://ping.example:port/{}",
    "https://ping.example/{} x",
    "https://ping.example/{}\\n",
]


@pytest.mark.parametrize("url", BAD_PINGS)
def test_a_bad_ping_url_is_refused_and_not_shown(file: Path, url: str) -> None:
    told = refusal(file, f'[service]\nping_url = "{url.format(SECRET)}"')

    assert "service.ping_url" in told
    assert SECRET not in told


@pytest.mark.parametrize("url", ["https://hc-ping.com/id", "http://127.0.0.1:8000/id?x=1"])
def test_a_ping_url_is_taken_and_never_shown(file: Path, url: str) -> None:
    read = loaded(file, f"[service]\nping_url = '{url}'")

    assert read.service.ping_url == url
    assert url not in repr(read)


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:9464", ("127.0.0.1", 9464)),
        ("[::1]:9464", ("::1", 9464)),
        ("localhost:0", ("localhost", 0)),
        ("0.0.0.0:65535", ("0.0.0.0", 65535)),
    ],
)
def test_addresses_to_listen_on(text: str, address: tuple[str, int]) -> None:
    assert config.parse_listen(text) == address


def test_a_missing_file_says_how_to_get_one(tmp_path: Path) -> None:
    file = tmp_path / "none.toml"

    with pytest.raises(ConfigError) as caught:
        read_settings(file, {})

    assert f"--config {file} init` writes one" in caught.value.hint


def test_a_file_that_is_no_toml_is_refused(file: Path) -> None:
    assert "not valid TOML" in refusal(file, "[api")


def test_a_file_that_is_no_text_is_refused(file: Path) -> None:
    file.write_bytes(b"\x80")

    with pytest.raises(ConfigError, match="can't be read"):
        read_settings(file, {})


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="can't be read"):
        read_settings(tmp_path, {})


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"ETL_CONFIG": "config.toml"},
        {"ETL_HOME": "/elsewhere"},
        {"ETL_API__TIMEOUT": ""},
        {"GUMLOOP_BASE_URL": "https://api.example.com"},
    ],
)
def test_without_a_setting_in_the_environment_the_file_must_be_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, environ: dict[str, str]
) -> None:
    monkeypatch.chdir(tmp_path)

    with pytest.raises(ConfigError, match="there is no configuration file"):
        read_settings(find_config(None, environ), environ)


@pytest.mark.parametrize(
    ("environ", "told"),
    [
        ({"ETL_api__page_size": "x"}, "ETL_api__page_size: api.page_size: expected"),
        ({"ETL_LAKE__TARGET": "gs:///"}, "ETL_LAKE__TARGET: lake.target "),
        ({"ETL_AGENTS": "a,a"}, "ETL_AGENTS: agents: the id 'a' is listed twice"),
        ({"GUMLOOP_BASE_URL": "x"}, "GUMLOOP_BASE_URL: api.base_url must be"),
        ({"ETL_SCHEDULE__EVERY": "0s"}, "ETL_SCHEDULE__EVERY: schedule.every must be greater"),
    ],
)
def test_a_wrong_value_is_blamed_on_what_set_it(
    file: Path, environ: dict[str, str], told: str
) -> None:
    file.write_text("[sync]\nseek = false\n")

    with pytest.raises(ConfigError) as caught:
        read_settings(file, {"ETL_API__MAX_ATTEMPTS": "3"} | environ)

    assert caught.value.message.startswith(told)


def test_the_file_is_the_option_else_the_variable_else_here() -> None:
    environ = {"ETL_CONFIG": "from-environment.toml"}

    assert find_config("option.toml", environ) == Path("option.toml")
    assert find_config(None, environ) == Path("from-environment.toml")
    assert find_config(None, {}) == Path("config.toml")


def uncommented(text: str) -> dict[str, Any]:
    """The example with its keys switched on: a `#` right before a key or a table is removed."""
    lines = [
        line[1:] if line.startswith("#") and line[1:2].strip() else line
        for line in text.splitlines()
    ]
    return tomllib.loads("\n".join(lines))


def test_the_example_lists_every_key_with_its_default() -> None:
    shown = uncommented(EXAMPLE.read_text(encoding="utf-8"))
    read = convert_tables(shown, str(EXAMPLE))
    unset = {key for key, value in defaults().items() if value is None}

    assert flat(shown).keys() == defaults().keys()
    assert [agent.keys() for agent in shown["agents"]] == [set(config.Agent.__struct_fields__)]
    assert read.discovery == config.Discovery()
    for key, value in flat(keys_of(read)).items():
        assert key in unset or value == defaults()[key], key


def test_the_example_as_it_stands_changes_nothing() -> None:
    assert read_settings(EXAMPLE, {}) == Settings()


def credentials(**environ: str) -> Credentials:
    return Credentials.from_environment(environ)


def test_a_token_goes_before_a_key_and_without_a_user() -> None:
    both = credentials(GUMLOOP_ACCESS_TOKEN="token", GUMLOOP_API_KEY="key", GUMLOOP_USER_ID="me")

    assert both.make_headers() == {"authorization": "Bearer token"}


def test_a_key_goes_with_its_user() -> None:
    key = credentials(GUMLOOP_API_KEY="key", GUMLOOP_USER_ID="me", GUMLOOP_TEAM_ID="team")

    assert key.make_headers() == {"authorization": "Bearer key", "x-auth-key": "me"}
    assert key.team_id == "team"


@pytest.mark.parametrize("name", ["GUMLOOP_ACCESS_TOKEN", "GUMLOOP_API_KEY"])
def test_a_credential_may_stand_in_a_file(tmp_path: Path, name: str) -> None:
    file = tmp_path / "secret"
    file.write_text(f"{SECRET}\n")

    assert credentials(**{f"{name}_FILE": str(file)}).token == SECRET
    assert credentials(**{f"{name}_FILE": str(file), name: "direct"}).token == "direct"


def test_a_token_in_a_file_goes_before_a_key(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text(SECRET)

    assert credentials(GUMLOOP_ACCESS_TOKEN_FILE=str(file), GUMLOOP_API_KEY="k").token == SECRET


def test_a_credentials_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="GUMLOOP_API_KEY_FILE"):
        credentials(GUMLOOP_API_KEY_FILE=str(tmp_path / "none"))


@pytest.mark.parametrize("environ", [{}, {"GUMLOOP_ACCESS_TOKEN": ""}, {"GUMLOOP_API_KEY": " \n"}])
def test_no_credential_is_told_with_the_names_to_set(environ: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match="GUMLOOP_ACCESS_TOKEN") as caught:
        Credentials.from_environment(environ)

    assert caught.value.exit_code == 2


@pytest.mark.parametrize("value", [f"{SECRET}\nx", f"{SECRET} x", f"{SECRET}é", f"{SECRET}\x00"])
def test_a_credential_that_can_be_no_header_is_refused_and_not_shown(value: str) -> None:
    with pytest.raises(ConfigError) as caught:
        credentials(GUMLOOP_ACCESS_TOKEN=value)

    assert "GUMLOOP_ACCESS_TOKEN" in str(caught.value)
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("name", ["GUMLOOP_USER_ID", "GUMLOOP_TEAM_ID"])
@pytest.mark.parametrize("value", ["me\r\nx-evil: 1", "mé"])
def test_a_user_or_team_that_can_be_no_header_is_refused(name: str, value: str) -> None:
    with pytest.raises(ConfigError, match=name):
        credentials(GUMLOOP_API_KEY="key", **{name: value})


def test_credentials_never_show_their_secret() -> None:
    one = Credentials(SECRET, "me", "team")

    for shown in (repr(one), str(one), f"{one}", f"{[one]}", f"{one!r}"):
        assert SECRET not in shown
        assert "me" in shown


def test_settings_hold_no_secret() -> None:
    assert not {"token", "api_key", "access_token"} & {key.split(".")[-1] for key in defaults()}
    assert msgspec.structs.fields(Credentials)[0].name == "token"


@pytest.mark.parametrize(
    ("target", "says"),
    [
        ("ftp://host/path", "can't be on ftp://"),
        ("s3://key:secret@bucket/path", "must not carry a user"),
        ("s3://bucket/path?token=1", "must not carry a user"),
        ("abfss://c@a.dfs.core.windows.net/p?sig=secret", "must not carry a user"),
        ("gs:///", "names no bucket"),
        ("", "is empty"),
    ],
)
def test_addresses_of_a_lake_are_checked_without_showing_a_secret(target: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says) as refused:
        convert_tables({"lake": {"target": target}}, "config.toml")

    assert "secret" not in str(refused.value)


def test_a_lake_may_be_a_folder_or_in_each_store() -> None:
    for target in ("lake", "/srv/lake", "s3://b/p", "gs://b", "abfss://c@a.dfs.core.windows.net/p"):
        assert convert_tables({"lake": {"target": target}}, "config.toml").lake.target == target
