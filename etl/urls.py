"""Which URLs of the configuration may be asked: https alone, but for this machine.

No error here shows what may be a password.
"""

import re
from pathlib import Path
from typing import Final

from etl.errors import ConfigError

LAKE_STORES: Final = {
    "s3": "s3://BUCKET/PATH",
    "gs": "gs://BUCKET/PATH",
    "abfss": "abfss://CONTAINER@ACCOUNT.../PATH",
}
"""Object stores, by the beginning of their addresses."""

HOW_TO_ENCODE = "percent-encode the user and password, such as %40 for @ and %2F for /"
UNENCODED = re.compile(r"[@/?#]|%(?![0-9A-Fa-f]{2})")


def is_ambiguous(url: str) -> bool:
    """Whether a user and password hold a character that they must not hold as it is.

    Readers of such a URL differ: to some, a part of the password is the host, and is shown.
    """
    user_info = url.partition("://")[2].rpartition("@")[0]
    return ":" in user_info and UNENCODED.search(user_info) is not None


def check_url(url: str, place: str) -> None:
    """Raise ConfigError unless it is an address of the API's kind: https, without a user."""
    from urllib.parse import urlsplit

    if "@" in url:
        hint = "the credential stands in the environment: GUMLOOP_ACCESS_TOKEN or GUMLOOP_API_KEY"
        raise ConfigError(f"{place} must not carry a user or password", hint)
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        raise ConfigError(f"{place} is not a URL", "write https://HOST/PATH") from None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ConfigError(f"{place} must be an https:// URL", f"it is {url!r:.200}")
    if parts.scheme == "http" and not _is_loopback(parts.hostname):
        hint = "credentials would travel in clear text; use https"
        raise ConfigError(f"{place} is plain http to {parts.hostname}", hint)


def check_ping_url(url: str, source: str) -> None:
    """Raise ConfigError unless it is one that may be pinged. The error doesn't show it."""
    from urllib.parse import urlsplit

    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        raise ConfigError(f"{source} is not a URL") from None
    plain = parts.scheme == "http" and _is_loopback(parts.hostname or "")
    visible = url.isascii() and url.isprintable() and " " not in url
    if not parts.hostname or not visible or not (plain or parts.scheme == "https"):
        hint = "plain http only to this machine; it is not shown, since it is a secret"
        raise ConfigError(f"{source} must be an https:// URL", hint)


def check_lake_target(target: str, key: str) -> None:
    """Raise ConfigError unless it names a folder or a place in an object store, without secrets."""
    scheme, separator, rest = target.partition("://")
    if not separator:
        return
    if scheme not in LAKE_STORES:
        hint = f"a folder, or {', '.join(LAKE_STORES.values())}"
        raise ConfigError(f"{key} can't be on {scheme:.20}://", hint)
    if "?" in rest or ":" in rest.partition("@")[0] or ("@" in rest and scheme != "abfss"):
        hint = "credentials come from the environment: docs/lake.md names the variables"
        raise ConfigError(f"{key} must not carry a user, a password or a query", hint)
    if not rest.strip("/"):
        raise ConfigError(f"{key} names no bucket", f"write {LAKE_STORES[scheme]}")


def normalize_address(target: str) -> str:
    """A lake's one address: without a slash at the end; of a folder, the whole path."""
    return target.rstrip("/") if "://" in target else str(Path(target).absolute())


def _is_loopback(host: str) -> bool:
    return host in {"localhost", "::1"} or bool(re.fullmatch(r"127(\.\d{1,3}){3}", host))
