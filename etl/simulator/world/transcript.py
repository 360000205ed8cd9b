"""The retrieve form of a session: what the list shows, less some keys, plus a transcript."""

from random import Random
from typing import Any

from etl.simulator.times import SECOND, format_instant, parse_instant
from etl.simulator.world.agents import Agent

Record = dict[str, Any]

ASKED = ("Can you look into this?", "Проверь ещё раз, пожалуйста", "请再详细一点", "Thanks! 🙏")
ANSWERED = ("Here is what I found.", "Готово.", "完成了。", "I need a little more detail.")
TOOLS = ("web_search", "salesforce_query", "read_file", "send_slack_message")


def make_retrieval(record: Record, agent: Agent, changes: Record) -> Record:
    """Return the body of a retrieval of the session that the list shows as *record*.

    *changes* are `messages` in place of those that are made up, or nothing.
    """
    session = {name: value for name, value in record.items() if name not in ("name", "type")}
    creator = record.get("creator")
    session |= {
        "messages": _make_messages(record),
        "agent_team_id": agent.team_id,
        "participants": _list_participants(creator),
        "agent_tools": [{"type": "web_search"}],
        "pending_approvals": _list_approvals(record),
        **changes,
    }
    queued = record.get("state") == "queued"
    return {"session": session, "queue_position": 1 if queued else None}


def _list_participants(creator: object) -> Record:
    if not isinstance(creator, dict) or not isinstance(creator.get("id"), str):
        return {}
    return {creator["id"]: {"first_name": creator.get("first_name")}}


def _list_approvals(record: Record) -> list[Record]:
    if record.get("state") != "approval_required":
        return []
    return [{"action_request_id": "act_1", "type": "tool", "tool_name": "send_slack_message"}]


def _make_messages(record: Record) -> list[Record]:
    """Return a transcript that is the same each time a session is looked at."""
    rng = Random(f"{record.get('id')}")
    created_at = record.get("created_at")
    instant = parse_instant(created_at) if isinstance(created_at, str) else None
    turns = rng.randrange(1, 6)
    return [_make_message(rng, record, number, instant) for number in range(turns * 2)]


def _make_message(rng: Random, record: Record, number: int, instant: int | None) -> Record:
    is_user = number % 2 == 0
    text = rng.choice(ASKED if is_user else ANSWERED)
    creator = record.get("creator")
    sent = None if instant is None else format_instant(instant + number * 17 * SECOND)
    return {
        "id": f"msg_{record.get('id')}_{number}",
        "role": "user" if is_user else "assistant",
        "content": text,
        "created_at": sent,
        "creator_id": creator.get("id") if is_user and isinstance(creator, dict) else None,
        "parts": None if is_user and rng.random() < 0.3 else _make_parts(rng, text, is_user),
    }


def _make_parts(rng: Random, text: str, is_user: bool) -> list[Record]:
    parts: list[Record] = [{"type": "text", "text": text}]
    if not is_user and rng.random() < 0.5:
        result = {"rows": rng.randrange(50)}
        tool = {"toolName": rng.choice(TOOLS), "toolCallState": "completed", "result": result}
        parts.insert(0, {"type": "tool_invocation", **tool})
    return parts
