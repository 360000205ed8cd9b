"""How connections to the API are made, and what a failure of one is called."""

from collections.abc import Callable
from functools import partial

import httpx

from etl import __version__
from etl.api.bodies import ACCEPT_ENCODING
from etl.api.proxies import explain, open_client
from etl.config import Api
from etl.errors import Denied, EtlError, Transient


def make_connector(api: Api) -> Callable[[], httpx.Client]:
    """What makes a client of one connection."""
    # A proxy must not see what plain http to this machine carries.
    trusts_environment = api.base_url.startswith("https:")
    # Reading the authorities' certificates takes 20 ms, which plain http to this machine can spare.
    context = trusts_environment and httpx.create_ssl_context(trust_env=True)
    return partial(
        open_client,
        headers={"user-agent": f"gumloop-etl/{__version__}", "accept-encoding": ACCEPT_ENCODING},
        timeout=httpx.Timeout(api.timeout, pool=None),
        limits=httpx.Limits(max_connections=1, max_keepalive_connections=1),
        follow_redirects=False,
        trust_env=trusts_environment,
        verify=context,
    )


def translate_failure(what: str, base: str, error: httpx.HTTPError) -> EtlError:
    """A network failure in a sentence."""
    host = httpx.URL(base).host
    reason = explain(error)
    if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout):
        hint = "check api.base_url, the network and the proxy"
        return Transient(f"{what}: {host} can't be reached: {reason}", hint)
    if isinstance(error, httpx.TimeoutException):
        return Transient(
            f"{what}: no response in time ({type(error).__name__})", "api.timeout bounds it"
        )
    if isinstance(error, httpx.TransportError):
        return Transient(f"{what}: the connection broke: {reason}")
    return Denied(f"{what}: {reason}", "check api.base_url")
