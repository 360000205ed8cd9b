"""The workloads: which history, who runs on it, what is measured."""

import json
import random
from collections.abc import Callable

from benchmarks import contenders as c
from benchmarks.bench import Bench
from benchmarks.simulated import Simulated

KINDS = ("SQLite", "PostgreSQL")
SLOW_API = ("--no-log", "--latency", "100")
HALF_A_YEAR = 182 * 86_400


def throughput(bench: Bench) -> None:
    """4 agents x 25,000 sessions, no latency: a first backfill."""
    with Simulated(4, bench.size(25_000, 2_000), "--no-log") as simulated:
        bench.capacity["pages a second"] = simulated.capacity()
        all_four = [c.etl("etl", "backfill"), c.floor(), c.sdk(), *c.dlt()]
        bench.alternate("throughput", "SQLite", simulated, [c.fetch(), c.parts(), *all_four])
        bench.alternate("throughput", "PostgreSQL", simulated, all_four)


def latency(bench: Bench) -> None:
    """8 agents x 2,000 sessions at 100 ms, 16 requests in flight: a first backfill."""
    with Simulated(8, bench.size(2_000, 500), *SLOW_API) as simulated:
        runners = [c.etl("etl", "backfill"), c.floor(), c.sdk(), *c.dlt()]
        bench.alternate("latency", "SQLite", simulated, runners)


def long(bench: Bench) -> None:
    """1 agent x 8,000 sessions at 100 ms: a first backfill."""
    with Simulated(1, bench.size(8_000, 1_500), *SLOW_API) as simulated:
        runners = [
            c.etl("etl, 1 walk", "backfill", "--walkers", "1"),
            c.etl("etl, 2 walks", "backfill", "--walkers", "2"),
            c.etl("etl, as it comes", "backfill"),
            c.floor(),
            c.sdk(),
            *c.dlt(),
        ]
        bench.alternate("long", "SQLite", simulated, runners)


def adapt(bench: Bench) -> None:
    """1 agent x 8,000 at 100 ms, 8 in flight: a first backfill as it comes, of other servers."""
    servers = {
        "recent": (),
        "last used half a year ago": ("--behind", str(HALF_A_YEAR)),
        "built cursors refused": ("--traits", json.dumps({"foreign_cursor": "refuse"})),
        "built cursors ignored": ("--traits", json.dumps({"foreign_cursor": "first_page"})),
    }
    for name, options in servers.items():
        with Simulated(1, bench.size(8_000, 1_500), *SLOW_API, *options) as simulated:
            runner = c.etl(f"etl, {name}", "backfill", concurrency=8)
            bench.alternate("adapt", "SQLite", simulated, [runner])


def share(bench: Bench) -> None:
    """20 agents, one of 20,000 and nineteen of 200, at 100 ms, 16 in flight: a first backfill."""
    more = str(bench.size(19_800, 2_000))
    with Simulated(20, 200, *SLOW_API, "--first", more) as simulated:
        bench.alternate("share", "SQLite", simulated, [c.etl("etl", "backfill")])


def follow(bench: Bench) -> None:
    """1 agent x 5,000, of which 500 idle, 40 processing, 10 waiting for approval: two syncs."""
    for _ in range(bench.rounds):
        with Simulated(1, bench.size(5_000, 1_000), "--no-log") as simulated:
            simulated.settle()
            ids = [record["id"] for record in simulated.records(simulated.agents[0])]
            states = ["idle"] * 500 + ["processing"] * 40 + ["approval_required"] * 10
            opened = random.Random(6).sample(ids, len(states))
            for id, state in zip(opened, states, strict=True):
                simulated.change(id, state=state)
            first = c.etl("etl", "backfill")
            with bench.places("SQLite", [first]) as (place,):
                bench.prepare("SQLite", simulated, first, place)
                quiet = c.etl("etl sync, quiet", "sync")
                bench.measure("follow", "SQLite", simulated, quiet, place)
                for id in random.Random(7).sample(opened, 60):
                    simulated.change(id, state="completed")
                changed = c.etl("etl sync, 60 have ended", "sync")
                bench.measure("follow", "SQLite", simulated, changed, place)


def noop(bench: Bench) -> None:
    """4 agents x 25,000 settled sessions that are all stored: the second run."""
    with Simulated(4, bench.size(25_000, 2_000), "--no-log") as simulated:
        simulated.settle()
        for kind in KINDS:
            first = [c.etl("etl", "backfill")]
            # Filling PostgreSQL for the others takes minutes and tells nothing new.
            first += [c.sdk(), *c.dlt()] if kind == "SQLite" else []
            second = [c.etl("etl", "sync"), *first[1:]]
            with bench.places(kind, first) as places:
                for one, place in zip(first, places, strict=True):
                    bench.prepare(kind, simulated, one, place)
                spots = dict(zip((one.name for one in second), places, strict=True))
                for turn in bench.turns(second):
                    for one in turn:
                        bench.measure("noop", kind, simulated, one, spots[one.name])


def stale(bench: Bench) -> None:
    """2 agents x 5,000: 25 old sessions reopened, 25 old ones renamed, 150 open ones finished."""
    for _ in range(bench.rounds):
        with Simulated(2, bench.size(5_000, 1_000), "--no-log") as simulated:
            opened = _open_some(simulated, 150)
            first = [c.etl("etl", "backfill"), c.floor(), c.sdk(), *c.dlt()]
            with bench.places("SQLite", first) as places:
                for one, place in zip(first, places, strict=True):
                    bench.prepare("SQLite", simulated, one, place)
                _happen(simulated, opened)
                for one, place in zip(first, places, strict=True):
                    again = c.etl("etl sync", "sync") if one.name == "etl" else one
                    bench.measure("stale", "SQLite", simulated, again, place)
                last = c.etl("etl reconcile, after it", "reconcile")
                bench.measure("stale", "SQLite", simulated, last, places[0])


def _open_some(simulated: Simulated, count: int) -> list[str]:
    """Let nothing be open but sessions spread over the newer half of each history."""
    simulated.settle()
    opened = []
    for agent in simulated.agents:
        records = simulated.records(agent)
        newer = records[: len(records) // 2]
        opened += [r["id"] for r in random.Random(4).sample(newer, count // len(simulated.agents))]
    for id in opened:
        simulated.change(id, state="processing")
    return opened


def _happen(simulated: Simulated, opened: list[str]) -> None:
    """What happens between the two runs."""
    for id in opened:
        simulated.change(id, state="completed")
    for agent in simulated.agents:
        records = simulated.records(agent)
        older = random.Random(5).sample(records[len(records) // 2 :], 50 // len(simulated.agents))
        for number, record in enumerate(older):
            if number % 2:
                simulated.change(record["id"], name=f"Renamed {number}")
            else:
                simulated.reopen(record["id"])


def reconcile(bench: Bench) -> None:
    """1 agent x 20,000 sessions at 100 ms, all stored, 8 in flight: all history proven anew."""
    with Simulated(1, bench.size(20_000, 2_000), *SLOW_API) as simulated:
        walks = [
            c.etl("etl reconcile, 1 walk", "reconcile", "--walkers", "1", concurrency=8),
            c.etl("etl reconcile, as it comes", "reconcile", concurrency=8),
        ]
        with bench.places("SQLite", walks) as places:
            first = c.etl("etl", "backfill")
            for place in places:
                bench.prepare("SQLite", simulated, first, place)
            spots = dict(zip((one.name for one in walks), places, strict=True))
            for turn in bench.turns(walks):
                for one in turn:
                    bench.measure("reconcile", "SQLite", simulated, one, spots[one.name])


def startup(bench: Bench) -> None:
    """`--help`."""
    with Simulated(1, 1) as simulated:
        runners = c.helps([c.etl("etl"), c.floor(), c.sdk(), *c.dlt()])
        bench.alternate("startup", "-", simulated, runners)


def rate(bench: Bench) -> None:
    """50 requests a second for about 10 s: by our own setting, and by the server's 429s."""
    sessions = bench.size(12_500, 2_500)
    paced = c.etl("etl, requests_per_second=50", "backfill", rate=50)
    refused = c.etl("etl, 429 beyond 50 a second", "backfill")
    for contender, options in ((paced, ()), (refused, ("--rate-limit", "50"))):
        with (
            Simulated(4, sessions, *options) as simulated,
            bench.places("SQLite", [contender]) as (place,),
        ):
            result = bench.measure("rate", "SQLite", simulated, contender, place)
            result.note = _allowance_used(simulated, 50)


def _allowance_used(simulated: Simulated, allowed: float) -> str:
    """The share of the allowance that was used, by the simulator's own log.

    Of a run that is refused some requests, from the first refusal to the last: the server's bucket
    holds a second's worth before, and some is left in it at the end.
    """
    log = simulated.ask("GET", "requests")["requests"]
    times = sorted(entry["time"] for entry in log if entry["status"] == 200)
    refusals = sorted(entry["time"] for entry in log if entry["status"] != 200)
    limits = refusals or times
    first, last = limits[0], limits[-1]
    used = sum(first < time <= last for time in times)
    # A short run may be refused but once: there is nothing between.
    share = f"{used / ((last - first) * allowed):.1%}" if last - first > 1 else "-"
    busiest = max(sum(start <= time < start + 1 for time in times) for start in times)
    return f"{share} of the allowance, {busiest} in the busiest second, {len(refusals)} refused"


WORKLOADS: dict[str, Callable[[Bench], None]] = {
    work.__name__: work
    for work in (
        *(throughput, latency, long, adapt, share, follow),
        *(noop, stale, reconcile, startup, rate),
    )
}
