"""Where requests get their credential from: a value, a file that may change, or an OAuth grant."""

import os
import threading
from collections.abc import Mapping
from pathlib import Path

from etl.api.credentials.file import SecretFile
from etl.config import Api
from etl.credentials import Credentials, CredentialSource, require_plain


def make_source(
    api: Api, stop: threading.Event | None = None, environ: Mapping[str, str] = os.environ
) -> CredentialSource:
    """The source that the settings name, else the environment. Raises ConfigError without one."""
    if api.oauth.refresh_token_file:
        from etl.api.credentials.oauth import Grant

        team_id = require_plain("GUMLOOP_TEAM_ID", environ.get("GUMLOOP_TEAM_ID"))
        return Grant(api, team_id, stop)
    credentials = Credentials.from_environment(environ)
    return SecretFile(credentials, Path(credentials.file)) if credentials.file else credentials
