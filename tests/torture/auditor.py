"""Judges a run by the API's truth, on what databases.py read.

Where the API changed during a run, only what was stable is compared.
"""

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

from etl.models import AgentReport
from etl.planning.run_demand import RunOptions
from tests.support.audit import USAGE, instant
from tests.torture.databases import Database, Rows
from tests.torture.truth import Truth

BEGINNING = datetime.min.replace(tzinfo=UTC)
OPEN = ("queued", "processing", "approval_required", "idle")
SETTLED = ("completed", "failed")
COUNTS = ("requests", "pages", "seen", "inserted", "updated", "unchanged", "rejected", "missing")
KNOWN = frozenset(
    ("id", "agent_id", "name", "type", "state", "created_at", "agent_name", "creator", "usage")
) | {"messages"}


def at(value: str | datetime | None) -> datetime | None:
    """A stored instant: text in SQLite, an aware datetime in PostgreSQL."""
    if isinstance(value, datetime):
        return value.astimezone(UTC)
    return datetime.fromisoformat(value).replace(tzinfo=UTC) if value else None


@dataclass
class Run:
    """A run that is over, and the database before and after. `report` None: it died."""

    agent: str
    options: RunOptions
    report: AgentReport | None
    before: dict[str, Rows]
    after: dict[str, Rows]
    started: datetime
    ended: datetime
    struck: bool

    @property
    def succeeded(self) -> bool:
        return self.report is not None and self.report.status == "succeeded"

    def rows(self, table: str, when: str = "after") -> Rows:
        tables = self.after if when == "after" else self.before
        return [row for row in tables[table] if row["agent_id"] == self.agent]

    def state(self, when: str = "after") -> dict[str, Any]:
        found = self.rows("sync_state", when)
        return found[0] if found else {}

    @property
    def since(self) -> datetime:
        """When the demand began that this run went on with."""
        state, options = self.state("before"), self.options
        old = at(state.get("demand_started_at"))
        same = state.get("demand_mode") == options.mode and not options.restart
        same = same and (at(state["demand_since"]) or BEGINNING) == (options.since or BEGINNING)
        same = same and at(state["demand_until"]) == options.until
        return old if old and same and self.started - old <= options.resume_within else self.started

    @property
    def floor(self) -> datetime:
        return at(self.state().get("history_from")) or BEGINNING


@dataclass(frozen=True)
class Span:
    oldest: datetime
    newest: datetime
    proven_at: datetime | None


def spans(rows: Rows) -> list[Span]:
    found = [
        Span(
            at(row["oldest_created_at"]) or BEGINNING,
            at(row["newest_created_at"]) or BEGINNING,
            at(row["proven_at"]),
        )
        for row in rows
    ]
    return sorted(found, key=lambda span: span.oldest)


class Auditor:
    """Knows the truth."""

    def __init__(self, database: Database, truth: Truth) -> None:
        self.database = database
        self.truth = truth

    def check(self, run: Run) -> None:
        """Raise AssertionError with all that is wrong."""
        with self.truth.lock:
            wrong = [
                *self._integrity(run),
                *self._nothing_lost(run),
                *self._states(run),
                *self._runs(run),
                *self._spans(run),
                *self._claims(run),
                *self._watermark(run),
                *self._marked(run),
                *self._quiet(run),
                *self._status(run),
            ]
            if run.succeeded:
                wrong += self._complete(run)
                wrong += self._fresh(run)
                wrong += self._reconciled(run)
        what = run.report and (run.report.status, run.report.error)
        assert not wrong, "\n".join([f"{run.options.mode} of {run.agent}: {what}", *wrong])

    # -- what must hold whatever happened ----------------------------------------------------

    def _integrity(self, run: Run) -> list[str]:
        return [f"broken: {one}" for one in self.database.broken()]

    def _nothing_lost(self, run: Run) -> list[str]:
        before = {row["id"] for row in run.before["sessions"]}
        after = {row["id"] for row in run.after["sessions"]}
        noted = sum(row["inserted"] for row in run.rows("sync_runs"))
        stored = len(run.rows("sessions"))
        wrong = [f"lost {id}" for id in before - after]
        if noted != stored:
            wrong.append(f"all runs inserted {noted}, stored are {stored}")
        strangers = after - self.truth.agent_of.keys()
        return wrong + [f"stored but never listed: {id}" for id in strangers]

    def _states(self, run: Run) -> list[str]:
        by_id: dict[str, list[Any]] = {}
        for row in sorted(run.after["session_states"], key=lambda row: row["observed_at"]):
            by_id.setdefault(row["session_id"], []).append(row["state"])
        wrong = []
        for row in run.rows("sessions"):
            states = by_id.get(row["id"], [])
            if not states or states[-1] != row["state"]:
                wrong.append(f"{row['id']} is {row['state']!r}, its history says {states}")
            if any(one == other for one, other in pairwise(states)):
                wrong.append(f"{row['id']}: a state noted twice: {states}")
        return wrong

    def _runs(self, run: Run) -> list[str]:
        rows = sorted(run.rows("sync_runs"), key=lambda row: row["id"])
        wrong = [f"run {row['id']} is left running" for row in rows[:-1] if is_open_run(row)]
        old = {row["id"] for row in run.rows("sync_runs", "before")}
        new = [row for row in rows if row["id"] not in old]
        for row in new:
            parts = ("inserted", "updated", "unchanged", "rejected")
            if row["seen"] < sum(row[name] for name in parts):
                wrong.append(f"counts of the run don't add up: {row}")
        if run.report is None or not new:
            return wrong
        if is_open_run(rows[-1]):
            wrong.append("the run is over and left running")
        for name in COUNTS:
            if rows[-1][name] != getattr(run.report.counts, name):
                said = getattr(run.report.counts, name)
                wrong.append(f"{name}: the report says {said}, sync_runs {rows[-1][name]}")
        if run.succeeded and rows[-1]["status"] != "succeeded":
            wrong.append(f"reported succeeded, stored as {rows[-1]['status']}")
        return wrong

    def _spans(self, run: Run) -> list[str]:
        found = spans(run.rows("coverage"))
        wrong = [f"empty span {span}" for span in found if span.oldest >= span.newest]
        wrong += [f"{span} is of the future" for span in found if span.newest > run.ended]
        return wrong + [f"{a} overlaps {b}" for a, b in pairwise(found) if a.newest > b.oldest]

    def _claims(self, run: Run) -> list[str]:
        """Coverage and the view claim no more than what is true."""
        return self._covered(run) + self._confirmed(run)

    def _covered(self, run: Run) -> list[str]:
        stored = {row["id"] for row in run.rows("sessions")}
        wrong = []
        for span in spans(run.rows("coverage")):
            for id in self._listed_since(run.agent, span.proven_at or BEGINNING):
                created = self.truth.created_at(id)
                if created and span.oldest <= created < span.newest and id not in stored:
                    wrong.append(f"{id} of {created} is not stored, yet covered by {span}")
        return wrong

    def _confirmed(self, run: Run) -> list[str]:
        fresh = {row["session_id"]: row for row in run.after["session_freshness"]}
        wrong = []
        for row in run.rows("sessions"):
            id = row["id"]
            if id not in self.truth.since:
                continue
            listed, confirmed = (
                at(fresh[id][name]) for name in ("listed_at", "state_confirmed_at")
            )
            changed = max(self.truth.changed[id], self.truth.since[id])
            if listed and changed < listed:
                wrong += [f"{id} listed as of {listed}: {w}" for w in self._wrong(run, row)]
            elif confirmed and changed < confirmed:
                some = self._wrong(run, row, ("state", "usage"))
                wrong += [f"{id} confirmed as of {confirmed}: {w}" for w in some]
        return wrong

    def _watermark(self, run: Run) -> list[str]:
        before, after = (at(run.state(when).get("watermark")) for when in ("before", "after"))
        if after == before:
            return []
        if after is None or (before is not None and after < before):
            return [f"the watermark went from {before} to {after}"]
        stored = {row["id"]: row for row in run.rows("sessions")}
        wrong = []
        if after > run.ended:
            wrong.append(f"the watermark {after} is later than the run's end")
        if after not in {at(row["created_at"]) for row in stored.values()}:
            wrong.append(f"the watermark {after} is no stored session's")
        lowest = self._proven_anew_from(run)
        for id in self._listed_since(run.agent, run.since):
            created = self.truth.created_at(id)
            if created and lowest <= created <= after and id not in stored:
                wrong.append(f"the watermark went from {before} past {id} of {created}")
        report = run.report
        if report is not None and report.watermark != after:
            wrong.append(f"the report's watermark {report.watermark} is not {after}")
        return wrong

    def _proven_anew_from(self, run: Run) -> datetime:
        """From where a run owes what was listed when it began: what is older may wait.

        That is `lookback` below the watermark. Where nothing has moved that yet, what was looked
        at last stands for it: a run that goes on from a killed one asks nothing twice.
        """
        looked = (span.newest for span in spans(run.rows("coverage", "before")))
        top = at(run.state("before").get("watermark")) or max(looked, default=None)
        return max(run.floor, top - run.options.lookback) if top else run.floor

    def _marked(self, run: Run) -> list[str]:
        before = {row["id"]: row["missing_since"] for row in run.rows("sessions", "before")}
        wrong, marked = [], 0
        for row in run.rows("sessions"):
            id = row["id"]
            if not row["missing_since"] or before.get(id):
                continue
            marked += 1
            listed = self.truth.since.get(id)
            bad = id in self.truth.spoilt and id not in self.truth.gone
            if (listed and listed < run.started) or (bad and self.truth.changed[id] < run.started):
                wrong.append(f"{id} is marked missing, and listed all the time")
        if run.report is not None and run.report.counts.missing != marked:
            wrong.append(f"reported {run.report.counts.missing} missing, marked {marked}")
        return wrong

    def _quiet(self, run: Run) -> list[str]:
        """Counts are truthful: what changed is what was counted."""
        if run.report is None:
            return []
        before = {row["id"]: row for row in run.rows("sessions", "before")}
        after = {row["id"]: row for row in run.rows("sessions")}
        new = [id for id in after if id not in before]
        changed = [id for id in before if visible(after[id]) != visible(before[id])]
        counts, wrong = run.report.counts, []
        if counts.inserted != len(new):
            wrong.append(f"counted {counts.inserted} inserted, new are {len(new)}")
        if len(changed) > counts.updated + counts.missing:
            wrong.append(f"counted {counts.updated} updated, changed are {len(changed)}")
        if counts.updated and not new and not changed:
            wrong.append(f"counted {counts.updated} updated, changed is none")
        for id in changed:
            if before[id]["updated_at"] == after[id]["updated_at"]:
                wrong.append(f"{id} changed, its updated_at did not")
        for id in before.keys() - set(changed):
            if before[id]["updated_at"] != after[id]["updated_at"]:
                wrong.append(f"updated_at of {id} moved, nothing of it changed")
        return wrong

    # -- what a success must bring -------------------------------------------------------------

    def _status(self, run: Run) -> list[str]:
        """Without faults a run succeeds, but for the guard; with too many gone it never does."""
        if run.report is None:
            return []
        suspects, most = self._suspects(run)
        certain = run.options.mode == "reconcile" and self._calm(run) and run.since == run.started
        if certain and suspects > most and run.report.status != "incomplete":
            return [f"{suspects} are gone, more than {most}, and it is {run.report.status}"]
        unread = "could not be read whole" in (run.report.error or "")
        if run.struck or run.succeeded or (unread and self.truth.planted.get(run.agent)):
            return []
        gone = [row for row in run.rows("sessions") if row["id"] in self.truth.gone]
        if len(gone) > most or not self.truth.ids(run.agent):
            return []
        return [f"nothing went wrong, and it is {run.report.status}: {run.report.error}"]

    def _suspects(self, run: Run) -> tuple[int, int]:
        rows = [row for row in run.rows("sessions", "before") if not row["missing_since"]]
        gone = [row for row in rows if self._surely_gone(run, row)]
        stored = [row for row in run.rows("sessions") if not row["missing_since"]]
        return len(gone), max(20, (len(stored) + len(gone)) // 10)

    def _surely_gone(self, run: Run, row: dict[str, Any]) -> bool:
        gone, created = self.truth.gone.get(row["id"]), at(row["created_at"])
        judged = created is not None and run.floor <= created < run.since - timedelta(seconds=1)
        return judged and gone is not None and gone < run.since

    def _calm(self, run: Run) -> bool:
        """Nothing changed, and no record without an id hides who is gone."""
        still = self.truth.last_change < run.since and self.truth.last_plant < run.since
        return still and not run.struck and not self.truth.planted.get(run.agent)

    def _complete(self, run: Run) -> list[str]:
        """Promise 1, and what the mode demands of coverage."""
        options, wrong = run.options, []
        found = spans(run.rows("coverage"))
        watermark = at(run.state("before").get("watermark"))
        # Sessions are dated by the second: what is created later in it comes before the request.
        newest, since = run.started.replace(microsecond=0), options.since or BEGINNING
        demands: list[tuple[datetime, datetime, datetime | None]] = []
        again = self._proven_anew_from(run)
        if options.mode == "reconcile":
            demands.append((run.floor, newest, run.since))
        elif options.mode == "incremental":
            demands += [(run.floor, newest, None), (again, newest, run.since)]
        else:
            until = min(newest, options.until or newest)
            demands.append((since, until, run.since if options.restart else None))
        for low, high, proven in demands:
            if (low, high) and low < high and (gap := first_gap(found, low, high, proven)):
                wrong.append(f"succeeded without a proof of {gap} (since {proven})")
        stored = {row["id"] for row in run.rows("sessions")}
        for id in self._listed_since(run.agent, run.started):
            created = self.truth.created_at(id)
            owed = self.truth.since[id] < run.since or self._is_timely(run, id, created)
            if id not in stored and owed and self._owed(run, created, again, watermark):
                wrong.append(f"{id} of {created} was listed when the run began, and isn't stored")
        return wrong

    def _is_timely(self, run: Run, id: str, created: datetime | None) -> bool:
        """Whether it turned up within lookback of its beginning: a run that goes on owes it too."""
        return created is not None and self.truth.since[id] - created <= run.options.lookback

    def _owed(
        self, run: Run, created: datetime | None, again: datetime, watermark: datetime | None
    ) -> bool:
        if created is None:
            whole = run.options.mode == "reconcile" or watermark is None
            alone = not run.rows("coverage", "before") or run.options.mode == "reconcile"
            bounded = run.floor != BEGINNING or run.options.until or run.options.since
            return whole and alone and not bounded and run.since == run.started
        if run.options.mode == "reconcile":
            return created >= run.floor
        if run.options.mode == "incremental":
            return created >= again
        return False

    def _fresh(self, run: Run) -> list[str]:
        """The freshness rules of a sync."""
        if run.options.mode != "incremental":
            return []
        before = {row["id"]: row for row in run.rows("sessions", "before")}
        after = {row["id"]: row for row in run.rows("sessions")}
        assert run.report is not None
        unfiltered = any("ignores the filter" in warning for warning in run.report.warnings)
        wrong = []
        for id in self._stable(run.agent, run.started):
            state = self.truth.record(id)["state"]
            if state in ("processing", "queued") and not unfiltered:
                if id not in after:
                    wrong.append(f"{id} is {state}, and isn't stored after a sync")
                else:
                    wrong += [f"{id} is {state}: {w}" for w in self._wrong(run, after[id])]
            elif id in before and before[id]["state"] not in SETTLED:
                if before[id]["missing_since"]:
                    continue
                some = self._wrong(run, after[id], ("state", "usage"))
                wrong += [f"open {id} wasn't followed: {w}" for w in some]
        return wrong

    def _reconciled(self, run: Run) -> list[str]:
        """After a reconcile every row is as the API has it."""
        if run.options.mode != "reconcile":
            return []
        rows = {row["id"]: row for row in run.rows("sessions")}
        wrong = []
        for id in self._stable(run.agent, run.since):
            created = self.truth.created_at(id)
            if id in rows and created is not None and created >= run.floor:
                wrong += [f"{id} after a reconcile: {w}" for w in self._wrong(run, rows[id])]
        if self._calm(run):
            wrong += [
                f"{row['id']} is gone since {self.truth.gone[row['id']]} and not marked missing"
                for row in rows.values()
                if not row["missing_since"] and self._surely_gone(run, row)
            ]
        return wrong

    # -- comparing -------------------------------------------------------------------------------

    def _listed_since(self, agent: str, moment: datetime) -> list[str]:
        """Listed and readable since before this moment, without a break."""
        since = self.truth.since
        return [id for id in self.truth.ids(agent) if id in since and since[id] < moment]

    def _stable(self, agent: str, moment: datetime) -> list[str]:
        changed = self.truth.changed
        return [id for id in self._listed_since(agent, moment) if changed[id] < moment]

    def _wrong(
        self, run: Run, row: dict[str, Any], only: tuple[str, ...] | None = None
    ) -> list[str]:
        record, wrong = self.truth.record(row["id"]), []
        if row["missing_since"]:
            wrong.append("marked missing")
        for name in ("name", "type", "state"):
            if name in record and row[name] != record[name] and (not only or name in only):
                wrong.append(f"{name} is {row[name]!r}, not {record[name]!r}")
        usage = record.get("usage")
        for name in USAGE:
            if isinstance(usage, dict) and name in usage and row[name] != usage[name]:
                wrong.append(f"{name} is {row[name]!r}, not {usage[name]!r}")
        if only:
            return wrong
        created = record["created_at"]
        if at(row["created_at"]) != (created and instant(created)):
            wrong.append(f"created_at is {row['created_at']}, not {created}")
        extra = row["extra"] or {}
        # SQLite keeps it as text.
        extra = json.loads(extra) if isinstance(extra, str) else extra
        for name in record.keys() - KNOWN:
            if extra.get(name) != record[name]:
                wrong.append(f"extra has {name} {extra.get(name)!r}, not {record[name]!r}")
        return wrong + self._wrong_creator(run, row, record)

    def _wrong_creator(self, run: Run, row: dict[str, Any], record: dict[str, Any]) -> list[str]:
        creator = record.get("creator") or {}
        if "creator" in record and row["creator_id"] != creator.get("id"):
            return [f"creator is {row['creator_id']!r}, not {creator.get('id')!r}"]
        known = {one["id"]: one for one in run.after["creators"]}.get(creator.get("id"), {})
        return [
            f"creator's {name} is {known.get(name)!r}, not {value!r}"
            for name, value in creator.items()
            if known and value is not None and known.get(name) != value
        ]


def is_open_run(row: dict[str, Any]) -> bool:
    return bool(row["status"] == "running")


def visible(row: dict[str, Any]) -> dict[str, Any]:
    """A row without the columns that tell of the row itself."""
    return {name: row[name] for name in row if name not in ("updated_at", "as_of")}


def first_gap(
    found: list[Span], low: datetime, high: datetime, since: datetime | None
) -> tuple[datetime, datetime] | None:
    """The first instants of `[low, high)` without a proof that is recent enough."""
    for span in found:
        if since is not None and (span.proven_at is None or span.proven_at < since):
            continue
        if span.oldest <= low < span.newest:
            low = span.newest
    return (low, high) if low < high else None
