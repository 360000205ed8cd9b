"""What people write as `database.url`, and what becomes of it."""

import pytest

from etl.errors import ConfigError
from etl.store.schema.engine import open_engine
from etl.store.schema.url import mask_password, parse_url, split_pgbouncer


@pytest.mark.parametrize(
    ("written", "host", "port"),
    [
        ("postgresql://u:p@a:5433,b/db", "a,b", "5433,5432"),
        ("postgres://a,b:6000/db?target_session_attrs=read-write", "a,b", "5432,6000"),
        ("postgresql://u@[::1]:5433,b/db", "::1,b", "5433,5432"),
    ],
)
def test_several_hosts_are_libpqs(written: str, host: str, port: str) -> None:
    url = parse_url(written)
    (_, options) = open_engine(written).dialect.create_connect_args(url)

    assert (options["host"], options["port"], options["dbname"]) == (host, port, "db")


@pytest.mark.parametrize("written", ["postgresql://u:a,b@h/db", "sqlite:///a,b.db"])
def test_a_comma_elsewhere_is_none_between_hosts(written: str) -> None:
    assert "," not in (parse_url(written).host or "")
    assert "host" not in parse_url(written).query


def test_no_password_is_shown() -> None:
    assert "secret" not in mask_password("postgresql://u:secret@a,b/db")
    assert "secret" not in mask_password("postgresql://u:secret@a:x,b/db")
    assert "secret" not in mask_password("postgresql://u@a/db?password=secret&sslpassword=secret")


def test_pgbouncer_is_our_word_not_libpqs() -> None:
    pooled, url = split_pgbouncer(parse_url("postgresql://h/db?pgbouncer=true"))

    assert pooled
    assert "pgbouncer" not in url.query


@pytest.mark.parametrize(
    "written",
    ["postgresql://a:x,b/db", "mysql://h/db", "nonsense", "postgresql://h/db?pgbouncer=perhaps"],
)
def test_what_can_not_be_used_is_refused_with_a_hint(written: str) -> None:
    with pytest.raises(ConfigError) as refused:
        open_engine(written)

    assert refused.value.hint
