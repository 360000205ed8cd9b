"""Which URLs of the configuration may be asked: https alone, but for this machine."""

import re

from etl.errors import ConfigError

__all__ = ["check_ping_url", "check_url"]


def check_url(url: str, key: str, source: str) -> None:
    """Raise ConfigError unless it is an address of the API's kind: https, without a user."""
    from urllib.parse import urlsplit

    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError as error:
        raise ConfigError(f"{source}: {key} is not a URL: {error}") from None
    if parts.username or parts.password or "@" in url:
        raise ConfigError(f"{source}: {key} must not carry a user or password")
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
