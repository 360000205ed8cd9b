"""Who and what the generated world is about: creators, agents, teams, titles."""

from typing import Any

Creator = dict[str, str | None]

NAMES = (
    ("Ada", "Lovelace"),
    ("Дмитрий", "Шостакович"),
    ("فاطمة", "الزهراء"),
    ("小龍", "李"),
    ("Zoë", "Müller-Lüdenscheidt"),
    ("José", "Núñez"),  # decomposed: combining marks on purpose
    ("さくら", "田中"),
    ("🦊", "Foxglove"),
    ("Nguyễn", "Thị Hương"),
    ("Ольга", "Петрова"),
    ("Siân", "O'Brien"),
    ("אברהם", "לוי"),
    ("अनन्या", "शर्मा"),
    ("민준", "김"),
    ("Œdipe", "d'Étampes"),
    ("Grace", "Hopper"),
)

TEAMS = (
    ("team_growth", "Growth"),
    ("team_support", "Support & Care"),
    ("team_ops", "Betrieb/Zürich"),
)

AGENTS = (
    ("Sales research agent", "Researches leads before a call"),
    ("Support triage", "Sorts tickets and drafts first replies"),
    ("Отчёты по продажам", "Weekly sales reports"),
    ("Invoice reader", "Reads invoices into the ledger"),
    ("採用アシスタント", "Screens applications"),
    ("Meeting notes 📝", "Turns calls into notes"),
)

MODELS = ("claude-sonnet-4-5", "gpt-5.1", "gemini-3-pro", "auto")

TITLES = (
    "Research task",
    "Follow-up call",
    "Quarterly report",
    "Summarise the thread in #general",
    "Анализ оттока клиентов",
    "تقرير المبيعات",
    "競合他社の調査",
    "客户访谈总结",
    "Onboarding checklist ✅",
    "Résumé d'équipe",
    "Fix: NULL in 'orders' -- drop?",
    "Lead list, 50 % done",
    "Étude de marché",
    "👩🏽‍💻 pairing notes",
    "Line one\nline two",
    "Invoice",
)

FIELDS = ("id", "first_name", "last_name", "email", "profile_picture")


def creators() -> list[Creator]:
    """Return every creator of the world, the busiest first."""
    return [_make_creator(number, *name) for number, name in enumerate(NAMES)]


def _make_creator(number: int, first: str, last: str) -> Creator:
    picture = f"https://img.example.com/{number}.png" if number % 3 == 1 else None
    email = f"person{number}@example.com" if number % 7 != 6 else None
    values = (f"user_{0x2B9D71F0 + number * 7919:08x}", first, last, email, picture)
    return dict(zip(FIELDS, values, strict=True))


def agent_profile(number: int) -> dict[str, Any]:
    """Return name, description, model and team of the agent with this *number*.

    Every second agent is in a team; names repeat with a number once the list is used up.
    """
    name, description = AGENTS[number % len(AGENTS)]
    turn = number // len(AGENTS)
    return {
        "name": f"{name} {turn + 1}" if turn else name,
        "description": description,
        "model_name": MODELS[number % len(MODELS)],
        "team_id": TEAMS[number // 2 % len(TEAMS)][0] if number % 2 else None,
    }
