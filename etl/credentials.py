"""Credentials: from the environment, or a file named there, alone. They are no settings."""

import os
from collections.abc import Mapping
from pathlib import Path

import msgspec

from etl.errors import ConfigError
from etl.input.text_files import read_text


class CredentialSource:
    """Supplies the credential of each request; the others are in `etl.api.credentials`."""

    __slots__ = ()

    team_id: str | None
    """The team that every request names, if any."""

    def get_current(self) -> "Credentials":
        """The credential of the next request."""
        # No abstract method: the metaclass of ABC is not that of msgspec's structs.
        raise NotImplementedError

    def renew(self, _used: "Credentials", /) -> bool:
        """Look for another one after a 401. Returns whether there is one."""
        return False

    def mark_refused(self, _used: "Credentials", /) -> None:
        """Note that the API has refused it for good."""

    def list_secrets(self) -> tuple[str, ...]:
        """What no message may show."""
        return (self.get_current().token,)

    def describe(self) -> str:
        """Which kind of credential this is, in words."""
        return self.get_current().describe()


class Credentials(CredentialSource, msgspec.Struct, frozen=True):
    """How requests identify themselves, always the same. `repr` leaves the secrets out.

    `name` is the variable that it came from, `file` the file that the variable named.
    """

    token: str
    user_id: str | None = None
    team_id: str | None = None
    name: str = ""
    file: str | None = None

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ) -> "Credentials":
        """An access token if there is one, else an API key. Raises ConfigError if neither is."""
        team_id = require_plain("GUMLOOP_TEAM_ID", environ.get("GUMLOOP_TEAM_ID"))
        token, file = _read_secret(environ, "GUMLOOP_ACCESS_TOKEN")
        if token:
            return cls(token, None, team_id, "GUMLOOP_ACCESS_TOKEN", file)
        key, file = _read_secret(environ, "GUMLOOP_API_KEY")
        if key:
            user_id = require_plain("GUMLOOP_USER_ID", environ.get("GUMLOOP_USER_ID"))
            return cls(key, user_id, team_id, "GUMLOOP_API_KEY", file)
        hint = "set GUMLOOP_ACCESS_TOKEN, or GUMLOOP_API_KEY and GUMLOOP_USER_ID (or ..._FILE)"
        raise ConfigError("there is no credential for the API in the environment", hint)

    def make_headers(self) -> dict[str, str]:
        """The headers of a request: a key goes with its user's id, a token without."""
        headers = {"authorization": f"Bearer {self.token}"}
        return headers | ({"x-auth-key": self.user_id} if self.user_id else {})

    def get_current(self) -> "Credentials":
        """Itself: it never changes."""
        return self

    def describe(self) -> str:
        """Which kind of credential this is, in words."""
        kind = "an API key with its user" if self.user_id else "an API key"
        kind = kind if self.name == "GUMLOOP_API_KEY" else "a token"
        return f"{kind}, from {self.name}{'_FILE' if self.file else ''}"

    def __repr__(self) -> str:
        return f"Credentials(user_id={self.user_id!r}, team_id={self.team_id!r})"


def read_salt() -> str | None:
    """The salt of `[privacy]`'s hashes, None if there is none. Raises ConfigError."""
    return _read_secret(os.environ, "ETL_PRIVACY_SALT")[0]


def _read_secret(environ: Mapping[str, str], name: str) -> tuple[str | None, str | None]:
    """A secret, and the file that it stands in if it does."""
    value, file = environ.get(name), environ.get(f"{name}_FILE")
    if not value and file:
        return read_secret(Path(file), f"{name}_FILE"), file
    return require_plain(name, value), None


def read_secret(file: Path, name: str) -> str | None:
    """The secret in a file, None if there is nothing in it. Raises ConfigError; never shows it."""
    try:
        value = read_text(file)
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not text"
        hint = "check the path, and that this user may read it"
        raise ConfigError(f"{name}: {file} can't be read: {reason}", hint) from None
    return require_plain(name, value)


def require_plain(name: str, value: str | None) -> str | None:
    """A value that may stand in a header. Raises ConfigError."""
    value = (value or "").strip()
    if not all(33 <= ord(char) < 127 for char in value):
        raise ConfigError(
            f"{name} holds a character that no credential has", "check for line breaks"
        )
    return value or None
