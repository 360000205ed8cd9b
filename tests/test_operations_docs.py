"""docs/operations.md lists every event of the log and every metric, and no other."""

import re
from pathlib import Path

from prometheus_client import CollectorRegistry

from etl.clock import utc_now
from etl.service.monitor.gauges import DatabaseGauges
from etl.service.monitor.logs import EVENTS
from etl.service.monitor.metrics import PREFIX, Metrics
from etl.store.read.probes import AgentProbe, OpenSessionsProbe

PAGE = (Path(__file__).parents[1] / "docs" / "operations.md").read_text(encoding="utf-8")


def rows(title: str) -> dict[str, list[str]]:
    """The table of a section: the first cell's word, and the words of code in the others."""
    section = PAGE.split(f"### {title}\n")[1].split("\n#")[0]
    found = re.findall(r"^\| `(\w+)`[ *]* \|(.*)\|$", section, re.MULTILINE)
    return {name: rest.split("|") for name, rest in found}


def code(cell: str) -> tuple[str, ...]:
    return tuple(re.findall(r"`(\w+)`", cell))


def families(registry: CollectorRegistry) -> dict[str, tuple[str, ...]]:
    """The metrics of ours, by the names that the docs use, with their labels."""
    found: dict[str, tuple[str, ...]] = {}
    for family in registry.collect():
        if family.name.startswith(PREFIX):
            suffix = "_total" if family.type == "counter" else ""
            labels = next((tuple(sample.labels) for sample in family.samples), None)
            known = getattr(registry._names_to_collectors.get(family.name), "_labelnames", None)
            name = family.name.removeprefix(f"{PREFIX}_") + suffix
            found[name] = tuple(known if known is not None else labels or ())
    return found


def everything() -> dict[str, tuple[str, ...]]:
    metrics = Metrics(["a"])
    now = utc_now()
    probe, opened = AgentProbe(now, now, now, now), OpenSessionsProbe(1, now)
    gauges = DatabaseGauges(lambda: ["a"], lambda: {"a": probe}, lambda: {"a": opened}, utc_now)
    metrics.registry.register(gauges)
    return families(metrics.registry)


def test_every_event_is_listed_with_its_fields() -> None:
    listed = {name: code(cells[1]) for name, cells in rows("Logs").items()}

    assert listed == EVENTS


def test_every_metric_is_listed_with_its_labels() -> None:
    listed = {name: code(cells[0]) for name, cells in rows("Metrics").items()}

    assert listed == everything()


def test_alerts_ask_for_metrics_that_exist() -> None:
    asked = set(re.findall(rf"{PREFIX}_(\w+)", PAGE.split("```yaml")[1].split("```")[0]))

    assert asked
    assert {name.removesuffix("_count") for name in asked} <= set(everything())
