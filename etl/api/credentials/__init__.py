"""Where requests get their credential from: a value, a file that may change, or an OAuth grant."""

import os
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from etl.api.credentials.file import SecretFile
from etl.config import Api
from etl.credentials import Credentials, plain_value

if TYPE_CHECKING:
    from etl.api.credentials.oauth import Grant


def source_of(
    api: Api, stop: threading.Event | None = None, environ: Mapping[str, str] = os.environ
) -> "Credentials | SecretFile | Grant":
    """The source that the settings name, else the environment. Raises ConfigError without one."""
    if api.oauth.refresh_token_file:
        from etl.api.credentials.oauth import Grant

        team_id = plain_value("GUMLOOP_TEAM_ID", environ.get("GUMLOOP_TEAM_ID"))
        return Grant(api, team_id, stop)
    found = Credentials.from_environment(environ)
    return SecretFile(found, Path(found.file)) if found.file else found
