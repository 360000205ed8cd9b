"""The API's truth over time: what is listed since when. Every change goes through here."""

import threading
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from etl.simulator import World
from tests.support.audit import instant

STATES = ("queued", "processing", "approval_required", "idle", "completed", "failed", None, "new")
NEVER = datetime.min.replace(tzinfo=UTC)
PEOPLE = tuple(f"user_{number}" for number in range(4))
SPOILS: tuple[dict[str, Any], ...] = (
    {"state": 7},
    {"usage": {"credit_cost": "much"}},
    {"created_at": "soon"},
    {"name": ["no", "text"]},
    {"agent_id": "somebody_elses"},
)
KINDS = (
    "add_now", "add_late", "add_tie", "add_undated", "add_future", "add_soon", "state", "reopen",
    "rename", "usage", "creator", "creator_rename", "remove", "restore", "spoil", "mend",
    "plant", "unplant",
)  # fmt: skip


def now() -> datetime:
    return datetime.now(UTC)


@dataclass
class Truth:
    """A world and its past. `since`: listed, readable, without a break. `changed`: last change.

    `lag` is how late the list shows what is added.
    """

    world: World
    lock: threading.RLock = field(default_factory=threading.RLock)
    since: dict[str, datetime] = field(default_factory=dict)
    gone: dict[str, datetime] = field(default_factory=dict)
    changed: dict[str, datetime] = field(default_factory=dict)
    spoilt: dict[str, dict[str, Any]] = field(default_factory=dict)
    planted: dict[str, list[str]] = field(default_factory=dict)
    last_plant: datetime = NEVER
    agent_of: dict[str, str] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)
    last_change: datetime = NEVER
    count: int = 0
    lag: timedelta = timedelta(0)

    # -- reading -------------------------------------------------------------------------

    def ids(self, agent: str) -> list[str]:
        """The ids that are listed now, readable or not, in the order of their making."""
        return [id for id, owner in self.agent_of.items() if owner == agent and id not in self.gone]

    def record(self, id: str) -> dict[str, Any]:
        record: dict[str, Any] = self.world.session(id)
        return record

    def created_at(self, id: str) -> datetime | None:
        text = self.record(id)["created_at"]
        return None if text is None else instant(text)

    # -- changing ------------------------------------------------------------------------

    def mutate(self, agent: str, kind: str, n: int) -> None:
        """One change of this kind; `n` picks whose and which. Nothing if there is nobody."""
        with self.lock:
            getattr(self, f"_{kind}", lambda *_: None)(agent, n)
            self.last_change = now()

    def add(self, agent: str, created_at: datetime | None, **fields: Any) -> str:
        with self.lock:
            self.count += 1
            id = f"s{self.count:04}"
            fields.setdefault("state", "completed")
            fields.setdefault("creator", self._person(self.count))
            self.world.add_session(agent, id=id, created_at=created_at, **fields)
            self.agent_of[id] = agent
            self.since[id] = self.changed[id] = self.last_change = now() + self.lag
            return id

    def change(self, id: str, **fields: Any) -> None:
        with self.lock:
            self.world.change(id, **fields)
            self.changed[id] = self.last_change = now()

    def remove(self, id: str) -> None:
        with self.lock:
            # A request that was sent before this moment may still have shown it.
            self.world.remove(id)
            self.since.pop(id, None)
            self.gone[id] = self.last_change = now()

    def restore(self, id: str) -> None:
        with self.lock:
            self.world.restore(id)
            # What was shown before is shown at once, however late the list shows what is new.
            self.world._rows[id].added = float("-inf")
            del self.gone[id]
            self._refresh_creator(id)
            self.changed[id] = self.last_change = now()
            if id not in self.spoilt:
                self.since[id] = self.changed[id]

    def spoil(self, id: str, fields: dict[str, Any]) -> None:
        with self.lock:
            record = self.record(id)
            self.spoilt[id] = {name: record.get(name) for name in fields}
            self.since.pop(id, None)
            self.change(id, **fields)

    def mend(self, id: str) -> None:
        with self.lock:
            self.change(id, **self.spoilt.pop(id))
            self.since[id] = self.changed[id]

    # -- kinds of change, picked by a number -----------------------------------------------

    def _pick(self, agent: str, n: int, ids: list[str] | None = None) -> str | None:
        some = ids if ids is not None else [id for id in self.ids(agent) if id not in self.spoilt]
        return some[n % len(some)] if some else None

    def _person(self, n: int) -> dict[str, Any] | None:
        id = PEOPLE[n % len(PEOPLE)]
        name = self.names.setdefault(id, f"{id} the first")
        forms: tuple[dict[str, Any] | None, ...] = (
            {"id": id, "first_name": name, "last_name": "L", "email": f"{id}@example.com"},
            {"id": id, "first_name": name, "last_name": None},
            {"id": id},
            {"id": None, "first_name": "nobody"},
            None,
        )
        return forms[n // len(PEOPLE) % len(forms)]

    def _refresh_creator(self, id: str) -> None:
        creator = self.record(id).get("creator")
        if isinstance(creator, dict) and creator.get("first_name") and creator.get("id"):
            fresh = {**creator, "first_name": self.names[creator["id"]]}
            self.world.change(id, creator=fresh)

    def _add_now(self, agent: str, n: int) -> None:
        self.add(agent, now().replace(microsecond=0), state=STATES[n % 8])

    def _add_late(self, agent: str, n: int) -> None:
        self.add(agent, now() - timedelta(minutes=3 * n + 1), state=STATES[n % 8])

    def _add_tie(self, agent: str, n: int) -> None:
        other = self._pick(agent, n)
        if other:
            self.add(agent, self.created_at(other))

    def _add_undated(self, agent: str, n: int) -> None:
        self.add(agent, None)

    def _add_future(self, agent: str, n: int) -> None:
        self.add(agent, now() + timedelta(hours=n + 1))

    def _add_soon(self, agent: str, n: int) -> None:
        self.add(agent, now() + timedelta(milliseconds=5 * n))

    def _state(self, agent: str, n: int) -> None:
        if id := self._pick(agent, n):
            self.change(id, state=STATES[n // 7 % 8])

    def _reopen(self, agent: str, n: int) -> None:
        if id := self._pick(agent, n):
            self.change(id, state=STATES[n % 2], usage={"credit_cost": n + 0.5, "output_tokens": n})

    def _rename(self, agent: str, n: int) -> None:
        if id := self._pick(agent, n):
            self.change(id, name=None if n % 5 == 0 else f"name {n}")

    def _usage(self, agent: str, n: int) -> None:
        if id := self._pick(agent, n):
            self.change(id, usage={"credit_cost": None if n % 5 == 0 else n, "input_tokens": n})

    def _creator(self, agent: str, n: int) -> None:
        if id := self._pick(agent, n):
            self.change(id, creator=self._person(n))

    def _creator_rename(self, agent: str, n: int) -> None:
        who = PEOPLE[n % len(PEOPLE)]
        self.names[who] = f"{who} renamed {n} {self.count}"
        for id in list(self.agent_of):
            if id in self.gone:
                continue
            creator = self.record(id).get("creator")
            if isinstance(creator, dict) and creator.get("id") == who:
                self._refresh_creator(id)
                self.changed[id] = now()

    def _remove(self, agent: str, n: int) -> None:
        if id := self._pick(agent, n, self.ids(agent)):
            self.remove(id)

    def _restore(self, agent: str, n: int) -> None:
        gone = [id for id in self.gone if self.agent_of[id] == agent]
        if id := self._pick(agent, n, gone):
            self.restore(id)

    def _spoil(self, agent: str, n: int) -> None:
        if id := self._pick(agent, n):
            self.spoil(id, SPOILS[n // 3 % len(SPOILS)])

    def _mend(self, agent: str, n: int) -> None:
        bad = [id for id in self.spoilt if self.agent_of[id] == agent and id not in self.gone]
        if id := self._pick(agent, n, bad):
            self.mend(id)

    def _plant(self, agent: str, n: int) -> None:
        raw: tuple[Any, ...] = ({"name": f"no id {n}"}, 17, {"id": None}, None, {"id": 5, "n": n})
        at = now() - timedelta(hours=n)
        key = self.world.add_raw(agent, raw[n % len(raw)], at)
        self.planted.setdefault(agent, []).append(key)
        self.last_plant = now()

    def _unplant(self, agent: str, n: int) -> None:
        if self.planted.get(agent):
            self.world.remove(self.planted[agent].pop())
            self.last_plant = now()
