"""Proxies of the environment (HTTPS_PROXY and the like): that they can be used, and stay secret."""

import importlib.util
import re
from typing import Any, Final
from urllib.request import getproxies

import httpx

from etl.config import LARGEST_PORT
from etl.errors import ConfigError
from etl.urls import HOW_TO_ENCODE, is_ambiguous

KINDS: Final = ("http", "https", "all")
FORM: Final = re.compile(
    r"(?P<scheme>https?|socks5h?)://(?:[^@/?#\s]*@)?(?:\[[0-9A-Fa-f:.]+\]|[\w.-]+)(?::(?P<port>[0-9]{1,5}))?/?",
    re.IGNORECASE,
)


def open_client(**options: Any) -> httpx.Client:
    """A client of httpx. Raises ConfigError, which doesn't show it, for an unusable proxy."""
    if options["trust_env"]:
        _check_proxies()
    try:
        return httpx.Client(**options)
    except (httpx.InvalidURL, ValueError):
        hint = "write hosts with commas between them"
        raise ConfigError("NO_PROXY holds something that is no host", hint) from None


def _check_proxies() -> None:
    for kind, url in _read_proxies().items():
        found = FORM.fullmatch(url)
        name = f"{kind.upper()}_PROXY"
        if found is None or is_ambiguous(url) or int(found["port"] or 0) > LARGEST_PORT:
            hint = f"write http://USER:PASSWORD@HOST:PORT, and {HOW_TO_ENCODE}"
            raise ConfigError(f"{name} is not a URL of a proxy", hint)
        if found["scheme"].lower().startswith("socks") and not importlib.util.find_spec("socksio"):
            hint = "name an http proxy, or pip install 'httpx[socks]'"
            raise ConfigError(f"{name} names a SOCKS proxy, which needs socksio", hint)


def explain(error: httpx.HTTPError) -> str:
    """A failure of the network in words, without what a server or a proxy sent."""
    text = str(error) or type(error).__name__
    if isinstance(error, httpx.ProxyError):
        status = re.match(r"[0-9]{3}\b", text)
        return f"the proxy refused ({status[0]})" if status else "the proxy refused"
    # Errno numbers say nothing to a reader.
    return re.sub(r"\[Errno -?[0-9]+\] ", "", text.partition(": bytearray(")[0])


def _read_proxies() -> dict[str, str]:
    found = {kind: url for kind, url in getproxies().items() if kind in KINDS and url}
    return {kind: url if "://" in url else f"http://{url}" for kind, url in found.items()}
