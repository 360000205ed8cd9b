"""Two people, their sessions and messages, and every place where one of them may be found."""

from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import select

from etl.models import Creator, Message, Rejected, Session
from etl.planning.run_demand import AgentState
from etl.store.runs.lease import Lease
from etl.store.runs.runs import finish_run, start_run
from etl.store.schema import tables as t
from etl.store.store import Batch, Store
from etl.store.write.responses import Response, Run
from etl.store.write.transcripts import Due, save_transcript

AGENT = "agent"
T0 = datetime(2026, 5, 1, 12, tzinfo=UTC)
ADA, ADDRESS, FIRST = "user_needle_ada", "Ada.Needle@Example.com", "Adaneedle"
BOB = "user_bob"
SECRET = "zebraneedle"
PICTURE = "https://img.example.com/needlepicture.png"
NEEDLES = [ADA, ADDRESS, ADDRESS.lower(), FIRST, SECRET, PICTURE, "Needletitle"]

CREATORS = [
    Creator(ADA, FIRST, "Needlelast", ADDRESS, PICTURE),
    Creator(BOB, "Bob", "Jones", "bob@example.com"),
]
SESSIONS = [
    Session("hers", AGENT, ADA, "Needletitle", "api", "idle", T0, 1.5, extra={"by": ADA}),
    Session("his", AGENT, BOB, "His title", "api", "idle", T0, 2.5, extra={"x": 1}),
    # Told of by the address alone.
    Session(
        "nobodys", AGENT, None, "Needletitle", "api", "idle", T0, extra={"to": [f"<{ADDRESS}>"]}
    ),
]
REJECTED = [
    Rejected(f'{{"id": "bad", "creator": {{"id": "{ADA}"}}}}', "a bad number", "bad"),
    Rejected(f'{{"id": "worse", "mail": "{ADDRESS}"}}', f"not a date: '{ADDRESS}'", "worse"),
    Rejected(f'{{"id": "hers", "first": "{FIRST}"}}', "bad", "hers"),
    Rejected(f"no JSON of {ADA} at all", "not JSON", None),
    Rejected('{"id": "fine"}', "bad", "fine"),
]
SAID = {
    "hers": [
        Message(0, "m0", "user", f"I, {FIRST}, say {SECRET}", T0, ADA),
        Message(1, "m1", "assistant", f"{SECRET}, indeed", T0),
    ],
    "his": [
        Message(0, "m0", "user", "Hello from Bob", T0, BOB),
        Message(1, "m1", "user", f"{SECRET} of mine", T0, ADA, '[{"text": "zebraneedle"}]'),
        Message(
            2, "m2", "user", SECRET, T0, None, None, f'{{"creator": {{"email": "{ADDRESS}"}}}}'
        ),
    ],
}


def response(seconds: float = 0, **changes: Any) -> Response:
    """What the API shows of all of them."""
    whole: dict[str, Any] = {"sessions": SESSIONS, "creators": CREATORS, "rejected": REJECTED}
    whole |= changes
    return Response(requested_at=T0 + timedelta(seconds=seconds), **whole)


def begin(store: Store) -> Run:
    """A run under way."""
    lease = store.claim(AGENT)
    assert isinstance(lease, Lease)
    return start_run(store, lease, "backfill", AgentState(), T0)


def save(store: Store, run: Run, one: Response) -> Any:
    """Save an answer; what became of it."""
    return store.save(run, Batch([one])).counts


def say(store: Store, run: Run) -> list[bool]:
    """Save the transcripts; whether each was written."""
    return [
        save_transcript(store, run.lease, Due(id, T0), messages, T0)
        for id, messages in SAID.items()
    ]


def plant(store: Store) -> Run:
    """Store all of it, with an error of a run that quotes an address."""
    run = begin(store)
    save(store, run, response())
    say(store, run)
    from etl.models import Counts

    finish_run(store, run, "failed", Counts(), f"the API said: no access for {ADDRESS}", T0)
    store.release(run.lease)
    return begin(store)


def everything(store: Store) -> str:
    """Every value of every table, as text."""
    with store.connect() as connection:
        return "\n".join(
            f"{table.name}: {tuple(row)}"
            for table in t.metadata.sorted_tables
            for row in connection.execute(select(table))
        )


def traces(store: Store) -> list[str]:
    """The lines that tell of Ada."""
    return [line for line in everything(store).splitlines() if any(one in line for one in NEEDLES)]


def rows(store: Store, query: Any) -> list[tuple[Any, ...]]:
    """What a query brings."""
    with store.connect() as connection:
        return [tuple(row) for row in connection.execute(query)]
