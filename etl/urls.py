"""Which URLs of the configuration may be asked: https alone, but for this machine.

No error here shows what may be a password.
"""

import re

from etl.errors import ConfigError

__all__ = ["HOW_TO_ENCODE", "check_ping_url", "check_url", "is_ambiguous"]

HOW_TO_ENCODE = "percent-encode the user and password, such as %40 for @ and %2F for /"
UNENCODED = re.compile(r"[@/?#]|%(?![0-9A-Fa-f]{2})")


def is_ambiguous(url: str) -> bool:
    """Whether a user and password hold a character that they must not hold as it is.

    Readers of such a URL differ: to some, a part of the password is the host, and is shown.
    """
    user_info = url.partition("://")[2].rpartition("@")[0]
    return ":" in user_info and UNENCODED.search(user_info) is not None


def check_url(url: str, key: str, source: str) -> None:
    """Raise ConfigError unless it is an address of the API's kind: https, without a user."""
    from urllib.parse import urlsplit

    if "@" in url:
        hint = "the credential stands in the environment: GUMLOOP_ACCESS_TOKEN or GUMLOOP_API_KEY"
        raise ConfigError(f"{source}: {key} must not carry a user or password", hint)
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        raise ConfigError(f"{source}: {key} is not a URL", "write https://HOST/PATH") from None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ConfigError(f"{source}: {key} must be an https:// URL", f"it is {url!r:.200}")
    if parts.scheme == "http" and not _loopback(parts.hostname):
        hint = "credentials would travel in clear text; use https"
        raise ConfigError(f"{source}: {key} is plain http to {parts.hostname}", hint)


def check_ping_url(url: str, source: str) -> None:
    """Raise ConfigError unless it is one that may be pinged. The error doesn't show it."""
    from urllib.parse import urlsplit

    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        raise ConfigError(f"{source} is not a URL") from None
    plain = parts.scheme == "http" and _loopback(parts.hostname or "")
    visible = url.isascii() and url.isprintable() and " " not in url
    if not parts.hostname or not visible or not (plain or parts.scheme == "https"):
        hint = "plain http only to this machine; it is not shown, since it is a secret"
        raise ConfigError(f"{source} must be an https:// URL", hint)


def _loopback(host: str) -> bool:
    return host in {"localhost", "::1"} or bool(re.fullmatch(r"127(\.\d{1,3}){3}", host))
