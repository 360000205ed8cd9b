"""Where a lake is: a folder or an object store, and what its errors may say."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pyarrow as pa
from deltalake.exceptions import CommitFailedError, DeltaError

from etl.errors import EtlError

SECRET_NAME: Final = re.compile(
    r"^(AWS|AZURE|GOOGLE|GCS|GCLOUD)_.*(KEY|SECRET|TOKEN|PASSWORD|CREDENTIAL|SAS)", re.I
)
LONGEST_ERROR: Final = 300
SHORTEST_SECRET: Final = 6
HINTS: Final = {
    "No such file": "name a folder that exists, or one that can be made",
    "Permission denied": "name a place that this user may write to",
    "No space left": "make room; nothing of the table has changed, the next run makes it right",
    "NoSuchBucket": "make the bucket first, or check its name",
    "403": "do the credentials in the environment allow reading, writing, listing and deleting?",
    "AccessDenied": "do the credentials in the environment allow reading, writing and deleting?",
    "InvalidAccessKeyId": "check the credentials in the environment",
    "SignatureDoesNotMatch": "check the credentials in the environment",
    "metadata": "no credentials in the environment? docs/lake.md names the variables",
    "Missing": "docs/lake.md names the variables of each store",
    "retries": "can the store be reached from here? docs/lake.md names the variables",
}
COLOR: Final = re.compile(r"\x1b\[[0-9;]*m")


def locate_table(target: str, table: str) -> str:
    """The address of a table: a URL of an object store, or a path."""
    return f"{target}/{table}" if "://" in target else str(Path(target) / table)


def make_folder(uri: str) -> None:
    """Make the folder of a table, unless an object store needs none. Raises EtlError."""
    if "://" in uri:
        return
    try:
        Path(uri).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        hint = "name a folder that this user may write to"
        raise EtlError(f"{uri} can't be made: {error.strerror}", hint) from None


@contextmanager
def translate_lake_errors(what: str) -> Iterator[None]:
    """Turn the libraries' errors into one EtlError that holds no secret."""
    try:
        yield
    except CommitFailedError as error:
        hint = "it was not us: does another program or database write there? run it again"
        raise EtlError(f"{what} was changed by another writer meanwhile", hint) from error
    except (DeltaError, OSError, pa.ArrowException) as error:
        text = " ".join(COLOR.sub("", _mask_secrets(str(error))).split())
        hint = next((hint for words, hint in HINTS.items() if words in text), "")
        raise EtlError(f"{what} can't be used: {text[:LONGEST_ERROR]}", hint) from error


def _mask_secrets(text: str) -> str:
    """The text without what the environment keeps secret."""
    for name, value in os.environ.items():
        if SECRET_NAME.match(name) and len(value) >= SHORTEST_SECRET:
            text = text.replace(value, "***")
    return re.sub(r"(?i)(sig|signature|token|key|secret|password)=[^&\s\"']+", r"\1=***", text)
