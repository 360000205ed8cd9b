"""Telling a dead man's switch (healthchecks.io and the like) how the runs go.

Its URL is a secret and is never shown. A GET of it means success, of it with `/fail` failure.
"""

import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit, urlunsplit

from etl.config import Service
from etl.errors import ConfigError
from etl.events import Event, Observe, PingSent, RunCrashed, RunFinished
from etl.input.text_files import read_text
from etl.urls import check_ping_url

PING_TIMEOUT: Final = 5.0
PING_PAUSE: Final = 60.0
"""Seconds between two pings that say the same; the services limit their number."""

GOOD_STATUS: Final = "succeeded"
BAD_STATUSES: Final = ("failed", "incomplete")


def read_ping_url(service: Service) -> str | None:
    """The URL as configured, or from its file. Raises ConfigError, which doesn't show it."""
    if service.ping_url or not service.ping_url_file:
        return service.ping_url
    path = Path(service.ping_url_file)
    try:
        url = read_text(path).strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not text"
        raise ConfigError(f"service.ping_url_file: {path} can't be read: {reason}") from None
    check_ping_url(url, f"the URL in service.ping_url_file, {path},")
    return url


def make_fail_url(url: str) -> str:
    """Where failure is reported: `/fail` goes to the path, whatever query follows."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(path=parts.path.rstrip("/") + "/fail", fragment=""))


def judge_runs(agent_id: str, last: Mapping[str, bool]) -> bool | None:
    """What to tell after an agent's run: success only if no agent's last run failed.

    None: this run went well, but another agent's didn't; that success must not hide it.
    """
    if not last[agent_id]:
        return False
    return True if all(last.values()) else None


def is_due(last: bool | None, last_at: float, verdict: bool, now: float) -> bool:
    """Whether to ping: news at once, the same again only after a while."""
    return verdict != last or now - last_at >= PING_PAUSE


class Pinger:
    """Pings from a thread of its own. One that fails is a warning, and is not repeated."""

    def __init__(self, url: str, observe: Observe) -> None:
        self._url = url
        self._report = observe
        self._last_runs: dict[str, bool] = {}
        self._to_send: bool | None = None
        self._last_ping: bool | None = None
        self._last_ping_at = 0.0
        self._news = threading.Condition()
        threading.Thread(target=self._work, name="ping", daemon=True).start()

    def observe(self, event: Event) -> None:
        """Take note of a run that ended; one skipped or interrupted says nothing."""
        match event:
            case RunFinished(report) if report.status in (GOOD_STATUS, *BAD_STATUSES):
                self._note(report.agent_id, report.status == GOOD_STATUS)
            case RunCrashed(agent_id):
                self._note(agent_id, went_well=False)

    def _note(self, agent_id: str, went_well: bool) -> None:
        with self._news:
            self._last_runs[agent_id] = went_well
            verdict, now = judge_runs(agent_id, self._last_runs), time.monotonic()
            if verdict is not None and is_due(self._last_ping, self._last_ping_at, verdict, now):
                self._last_ping, self._last_ping_at, self._to_send = verdict, now, verdict
                self._news.notify()

    def _work(self) -> None:
        while True:
            with self._news:
                self._news.wait_for(lambda: self._to_send is not None)
                verdict, self._to_send = self._to_send, None
            self._report(self._ping(self._url if verdict else make_fail_url(self._url)))

    def _ping(self, url: str) -> PingSent:
        import httpx

        https = url.startswith("https:")
        try:
            response = httpx.get(url, timeout=PING_TIMEOUT, follow_redirects=False, trust_env=https)
        except Exception as error:  # httpx raises more than its own for odd URLs
            return PingSent(error)
        return PingSent(None, response.status_code)
