"""Time zones by their names."""

from typing import TYPE_CHECKING

from etl.errors import ConfigError
from etl.wording import suggest

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo


def find_zone(name: str, where: str = "") -> "ZoneInfo":
    """The zone of that name. Raises ConfigError, which begins with `where`, if there is none."""
    from zoneinfo import ZoneInfo, available_timezones

    try:
        return ZoneInfo(name)
    except (OSError, ValueError, LookupError):
        # Many zones begin alike: half a name suggests none of them.
        close = suggest(name, available_timezones(), 0.8)
        hint = "use a name like Europe/Berlin; if none is known, pip install tzdata"
        hint = f"did you mean {close}?" if close else hint
        raise ConfigError(f"{where}there is no time zone {name!r:.80}", hint) from None
