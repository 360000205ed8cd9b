"""Control of a simulator in another process: the endpoints under /_sim/, without credentials."""

import json
from collections.abc import Callable
from dataclasses import asdict
from typing import Any, Protocol

from etl.simulator.http.endpoints import answer_json
from etl.simulator.http.errors import ApiError, not_found
from etl.simulator.http.faults import Fault, FaultScript, parse_faults
from etl.simulator.http.messages import Answer, Request
from etl.simulator.times import parse_instant, to_datetime
from etl.simulator.traits import Traits
from etl.simulator.world.edits import ABSENT
from etl.simulator.world.world import World

JsonObject = dict[str, Any]

CONTROL_PATH = "/_sim/"


class Controlled(Protocol):
    """What the control endpoints need of a simulator."""

    world: World
    faults: FaultScript
    requests: list[Any]

    def add_fault(self, *faults: Fault) -> None: ...
    def clear_faults(self) -> None: ...
    def clear_requests(self) -> None: ...
    def stats(self) -> JsonObject: ...
    def adopt(self, traits: Traits) -> None: ...
    def expire_cursors(self) -> None: ...


Command = Callable[[Controlled, Any], Any]


def control(simulator: Controlled, request: Request) -> Answer:
    """Carry out a control request; raises ApiError if it can't be."""
    command = _COMMANDS.get((request.method, request.path.removeprefix(CONTROL_PATH)))
    if command is None:
        raise not_found("Control")
    try:
        argument = json.loads(request.body) if request.body else dict(request.params)
        return answer_json(command(simulator, argument))
    except (KeyError, TypeError, ValueError) as error:
        message = f"{type(error).__name__}: {error}"
        raise ApiError(400, "bad_control_request", message) from error


def _add_faults(simulator: Controlled, objects: Any) -> JsonObject:
    simulator.add_fault(*parse_faults(objects))
    return {"faults": len(simulator.faults)}


def _clear_faults(simulator: Controlled, _: Any) -> JsonObject:
    simulator.clear_faults()
    return {"faults": 0}


def _adopt(simulator: Controlled, argument: JsonObject) -> JsonObject:
    traits = Traits(**argument)
    simulator.adopt(traits)
    return {"traits": asdict(traits)}


def _expire_cursors(simulator: Controlled, _: Any) -> JsonObject:
    simulator.expire_cursors()
    return {}


def _change(simulator: Controlled, argument: JsonObject) -> JsonObject:
    dropped = dict.fromkeys(argument.get("drop", ()), ABSENT)
    simulator.world.change(argument["id"], **argument.get("fields", {}), **dropped)
    return {"session": simulator.world.session(argument["id"])}


def _add(simulator: Controlled, argument: JsonObject) -> JsonObject:
    return {"id": simulator.world.add_session(**argument)}


def _add_raw(simulator: Controlled, argument: JsonObject) -> JsonObject:
    instant = parse_instant(argument["at"])
    if instant is None:
        raise ValueError("at must be an ISO time")
    at = to_datetime(instant)
    return {"id": simulator.world.add_raw(argument["agent_id"], argument["record"], at)}


def _simulate(simulator: Controlled, argument: JsonObject) -> JsonObject:
    return asdict(simulator.world.live(float(argument["seconds"])))


def _make_command(name: str) -> Command:
    def command(simulator: Controlled, argument: JsonObject) -> JsonObject:
        getattr(simulator.world, name)(argument["id"])
        return {"id": argument["id"]}

    return command


def _rename_agent(simulator: Controlled, argument: JsonObject) -> JsonObject:
    simulator.world.rename_agent(argument["agent_id"], argument["name"])
    return {"agent_id": argument["agent_id"]}


def _retire_agent(simulator: Controlled, argument: JsonObject) -> JsonObject:
    simulator.world.retire_agent(argument["agent_id"])
    return {"agent_id": argument["agent_id"]}


def _list_truth(simulator: Controlled, argument: JsonObject) -> JsonObject:
    return {"sessions": simulator.world.sessions(argument["agent_id"])}


def _list_requests(simulator: Controlled, _: Any) -> JsonObject:
    return {"requests": [asdict(record) for record in list(simulator.requests)]}


def _clear_requests(simulator: Controlled, _: Any) -> JsonObject:
    simulator.clear_requests()
    return {"requests": []}


_COMMANDS: dict[tuple[str, str], Command] = {
    ("POST", "faults"): _add_faults,
    ("DELETE", "faults"): _clear_faults,
    ("POST", "traits"): _adopt,
    ("POST", "expire_cursors"): _expire_cursors,
    ("POST", "change"): _change,
    ("POST", "add"): _add,
    ("POST", "add_raw"): _add_raw,
    ("POST", "remove"): _make_command("remove"),
    ("POST", "restore"): _make_command("restore"),
    ("POST", "reopen"): _make_command("reopen"),
    ("POST", "rename_agent"): _rename_agent,
    ("POST", "retire_agent"): _retire_agent,
    ("POST", "live"): _simulate,
    ("GET", "truth"): _list_truth,
    ("GET", "requests"): _list_requests,
    ("DELETE", "requests"): _clear_requests,
    ("GET", "stats"): lambda simulator, _: simulator.stats(),
}
