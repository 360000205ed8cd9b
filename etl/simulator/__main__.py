"""`python -m etl.simulator`: the simulator as a process of its own."""

import argparse
import json
import math
import signal
import threading
from collections.abc import Sequence
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

from etl.simulator.http.faults import Fault, load_faults
from etl.simulator.http.server import Simulator
from etl.simulator.times import SECOND, to_instant
from etl.simulator.traits import Traits
from etl.simulator.world.world import World


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until SIGTERM or SIGINT; return the exit code."""
    parser = _make_parser()
    options = parser.parse_args(arguments)
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    world = _make_world(options)
    if options.warm:
        world.warm()
    with ExitStack() as stack:
        try:
            simulator = stack.enter_context(_make_simulator(options, world))
        except (OSError, OverflowError) as error:
            parser.error(f"can't listen at {options.host}:{options.port}: {error}")
        _introduce(simulator)
        _serve(world, ended, live=options.live)
    return 0


def _make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m etl.simulator", description="A Gumloop API.")
    add = parser.add_argument
    add("--host", default="127.0.0.1")
    add("--port", type=_count, default=0, help="0, the default, takes a free one")
    add("--agents", type=_count, default=2)
    add("--sessions", type=_count, default=1000, help="per agent")
    add("--first", type=_count, metavar="N", default=0, help="more sessions of the first agent")
    add("--days", type=_parse_amount, default=120, help="over which the sessions are spread")
    add("--seed", type=int, default=1)
    add("--behind", type=float, default=0, metavar="SECONDS", help="the world's clock starts late")
    add(
        "--latency", type=_parse_amount, default=0, metavar="MS", help="milliseconds to each answer"
    )
    add("--rate-limit", type=_parse_amount, metavar="N", help="requests a second; beyond it, 429")
    add("--live", action="store_true", help="life goes on in real time")
    add("--faults", type=_parse_faults, default=[], metavar="FILE", help="JSON list of faults")
    add("--traits", type=_parse_traits, metavar="JSON", help="see etl.simulator.traits")
    add("--warm", action="store_true", help="encode every session before listening")
    add("--no-log", action="store_true", help="keep no log of requests")
    return parser


def _count(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"expected a whole number, got {text!r}")
    return int(text)


def _parse_amount(text: str) -> float:
    amount = float(text)
    if not 0 <= amount < math.inf:
        raise argparse.ArgumentTypeError(f"expected a number of 0 or more, got {text!r}")
    return amount


def _parse_faults(text: str) -> list[Fault]:
    try:
        return load_faults(Path(text))
    except (OSError, ValueError) as error:
        raise argparse.ArgumentTypeError(f"{text}: {error}") from None


def _parse_traits(text: str) -> Traits:
    try:
        return Traits(**json.loads(text))
    except (TypeError, ValueError) as error:
        raise argparse.ArgumentTypeError(f"{text}: {error}") from None


def _make_world(options: argparse.Namespace) -> World:
    behind = timedelta(seconds=options.behind)
    world = World.generate(
        agents=options.agents,
        sessions=options.sessions,
        seed=options.seed,
        days=options.days,
        now=datetime.now(UTC) - behind if behind else None,
    )
    if options.first and options.agents:
        world.fill(world.agent_ids()[0], options.first, options.days)
    return world


def _make_simulator(options: argparse.Namespace, world: World) -> Simulator:
    return Simulator(
        world,
        host=options.host,
        port=options.port,
        latency=options.latency / 1000,
        rate_limit=options.rate_limit,
        faults=options.faults,
        log=not options.no_log,
        traits=options.traits,
    )


def _introduce(simulator: Simulator) -> None:
    credentials = simulator.credentials
    print(f"listening on {simulator.base_url}", flush=True)
    print(f"token {credentials.token}")
    print(f"api key {credentials.api_key} of user {credentials.user_id}")
    print(f"refresh token {credentials.refresh_token}")
    for agent in simulator.world.agents():
        print(f"agent {agent.id} {agent.name}")
    print(f"control {simulator.root_url}/_sim/", flush=True)


def _serve(world: World, ended: threading.Event, *, live: bool) -> None:
    while not ended.wait(1.0 if live else None):
        due = (to_instant(datetime.now(UTC)) - world.lived_to) / SECOND
        world.live(max(0.0, due))


if __name__ == "__main__":
    raise SystemExit(main())
