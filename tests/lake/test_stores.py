"""A lake in S3: moto's server over HTTP, credentials from the environment, none of them shown."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest
from sqlalchemy import text

from etl.errors import EtlError
from etl.store.privacy.forget import forget
from etl.store.store import Store
from tests.export.conftest import fill
from tests.lake.conftest import Carry, assert_equal, changed, listens
from tests.support.postgres import free_port
from tests.support.waiting import until

SECRET = "s3cr3t-access-key-never-shown"
BUCKET = "gumloop-lake"


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """A process of its own: deltalake keeps the GIL while it waits, and a thread would starve."""
    port = free_port()
    words = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    running = subprocess.Popen(words, env=dict(os.environ), **quiet)
    try:
        until(lambda: listens(port), "moto")
        yield f"http://127.0.0.1:{port}"
    finally:
        running.kill()
        running.wait()


@pytest.fixture
def bucket(server: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    """A bucket, and the environment that a user would set."""
    settings = {
        "AWS_ACCESS_KEY_ID": "AKIATEST00000000",
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_REGION": "eu-central-1",
        "AWS_ENDPOINT_URL": server,
        "AWS_ALLOW_HTTP": "true",
    }
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    client = boto3.client("s3", endpoint_url=server, region_name="eu-central-1")
    name = f"{BUCKET}-{abs(hash(tmp_path))}"
    where = {"LocationConstraint": "eu-central-1"}
    client.create_bucket(Bucket=name, CreateBucketConfiguration=where)
    return name


def contents(server: str, bucket: str) -> dict[str, bytes]:
    """Every object of a bucket."""
    client = boto3.client("s3", endpoint_url=server, region_name="eu-central-1")
    found = client.list_objects_v2(Bucket=bucket).get("Contents", [])
    keys = [one["Key"] for one in found]
    return {key: client.get_object(Bucket=bucket, Key=key)["Body"].read() for key in keys}


def test_a_lake_in_a_bucket_follows_the_database(
    store: Store, carry: Carry, bucket: str, server: str
) -> None:
    fill(store)
    target = f"s3://{bucket}/some/where"
    carry(target)
    assert_equal(store, target)
    with store.engine.begin() as connection:
        connection.execute(text("UPDATE sessions SET state = 'x' WHERE id = 'plain#0'"))
    assert changed(carry(target))["sessions"] == (0, 1, 0)
    assert_equal(store, target)
    forget(store, "plain")

    carry(f"{target}/")

    assert_equal(store, target)
    assert changed(carry(target)) == {}
    files = contents(server, bucket)
    assert files
    assert all(key.startswith("some/where/") for key in files)
    assert not any(SECRET.encode() in body for body in files.values())
    assert len([key for key in files if key.startswith("some/where/creators/etl-")]) == 1


def test_errors_of_a_store_show_no_credential(
    store: Store, carry: Carry, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_MAX_RETRIES", "0")
    with pytest.raises(EtlError) as missing:
        carry("s3://no-such-bucket-anywhere/x")
    monkeypatch.delenv("AWS_ENDPOINT_URL")
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:9/{SECRET}")
    with pytest.raises(EtlError) as unreachable:
        carry(f"s3://{bucket}/x")

    for failed in (missing, unreachable):
        assert failed.value.hint
        assert SECRET not in str(failed.value)
        assert "AKIATEST00000000" not in str(failed.value)
