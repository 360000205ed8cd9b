"""A scheduler under watch: its log as it comes, and its probes over HTTP."""

import json
import subprocess
import threading
from typing import Any

import httpx
from prometheus_client.parser import text_string_to_metric_families

from tests.process.project import Done, checked
from tests.support.waiting import PATIENCE, until

PREFIX = "gumloop_etl_"


class Watched:
    """A process of `run` that serves on a port of its own."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self.process = process
        self.text: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self._http = httpx.Client(trust_env=False, verify=False, timeout=PATIENCE)

    def _read(self) -> None:
        assert self.process.stderr is not None
        self.text.extend(iter(self.process.stderr.readline, ""))

    def events(self, name: str) -> list[dict[str, Any]]:
        """The lines of this event so far; every line is a JSON document."""
        lines = [json.loads(text) for text in list(self.text) if text.endswith("\n")]
        return [line for line in lines if line["event"] == name]

    def await_event(self, name: str, **fields: object) -> dict[str, Any]:
        """The first line of this event with these fields."""

        def found() -> dict[str, Any] | None:
            lines = (line for line in self.events(name) if fields.items() <= line.items())
            return next(lines, None)

        return dict(until(found, f"{name} {fields}"))

    @property
    def address(self) -> str:
        """Where it serves."""
        return str(self.await_event("service_listening")["address"])

    def ask(self, path: str, method: str = "GET") -> httpx.Response:
        """An answer of its server."""
        return self._http.request(method, f"http://{self.address}{path}")

    def await_ready(self, ready: bool = True) -> dict[str, Any]:
        """The document of /readyz once it says so."""

        def found() -> dict[str, Any] | None:
            answer = self.ask("/readyz")
            document: dict[str, Any] = answer.json()
            assert answer.status_code == (200 if document["ready"] else 503)
            return document if document["ready"] is ready else None

        return dict(until(found, f"ready: {ready}"))

    def metric(self, name: str, **labels: str) -> float | None:
        """One sample of /metrics; None if there is none such."""
        text = self.ask("/metrics").text
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                if sample.name == PREFIX + name and labels.items() <= sample.labels.items():
                    return float(sample.value)
        return None

    def await_metric(self, name: str, at_least: float = 1, **labels: str) -> float:
        """The sample once it is as large."""
        until(lambda: (self.metric(name, **labels) or 0) >= at_least, f"{name} {labels}")
        return self.metric(name, **labels) or 0

    def stop(self) -> Done:
        """Ask it to stop; it must end well."""
        self.process.terminate()
        code = self.process.wait(PATIENCE)
        self._reader.join(PATIENCE)
        assert self.process.stdout is not None
        done = checked(Done(code, self.process.stdout.read(), "".join(self.text)))
        assert (done.code, done.out) == (0, ""), done
        return done

    def kill(self) -> None:
        """End it at once, if it still is."""
        self.process.kill()
        self.process.wait()
        self._reader.join()
        self._http.close()
        for pipe in (self.process.stdout, self.process.stderr):
            assert pipe is not None
            pipe.close()
