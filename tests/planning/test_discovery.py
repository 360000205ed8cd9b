"""Which agents are synced: patterns, joins, teams, and who is remembered in an outage."""

import tomllib
from datetime import UTC, datetime, timedelta

from hypothesis import example, given
from hypothesis import strategies as st

from etl.config import Agent, Discovery, Names
from etl.models import ABSENT, FoundAgent, Team
from etl.planning.discovery import (
    KnownAgent,
    decide_agents,
    decide_offline,
    format_toml,
    merge_listings,
    select_synced,
    select_teams,
)

NOW = datetime(2026, 11, 1, tzinfo=UTC)

# A small alphabet, so that ids meet, and patterns fit.
ids = st.text("aB*[", min_size=1, max_size=3) | st.sampled_from(["gumball", "Analytics", ".."])
names = st.none() | st.text("aB é", max_size=3)
found = st.builds(
    FoundAgent, ids, names, st.sampled_from([None, ABSENT, "t1", "t2"]), st.booleans()
)
patterns = st.text("aB*?[]", min_size=1, max_size=4)
rules = st.builds(
    Discovery,
    own=st.booleans(),
    teams=st.sampled_from([Names(), Names(("all",))]),
    include=st.lists(patterns | st.just("*"), max_size=3).map(Names),
    exclude=st.lists(patterns, max_size=2).map(Names),
)
typed = st.lists(st.builds(Agent, ids, names), max_size=4, unique_by=lambda agent: agent.id)


def rule(include: str = "*", exclude: str = "") -> Discovery:
    excluded = Names((exclude,)) if exclude else Names()
    return Discovery(own=True, include=Names((include,)), exclude=excluded)


def synced(agents: list[FoundAgent], rules: Discovery, *typed: Agent) -> list[str]:
    return [agent.id for agent in select_synced(decide_agents(typed, agents, rules))]


@given(typed, st.lists(found, max_size=6), rules)
def test_every_agent_has_one_fate_with_a_reason(typed, agents, rules) -> None:
    decided = decide_agents(typed, agents, rules)

    assert len({decision.id for decision in decided}) == len(decided)
    assert {decision.id for decision in decided} == {a.id for a in [*typed, *agents]}
    assert all(decision.why for decision in decided)


@given(typed, st.lists(found, max_size=6), rules)
def test_those_that_were_typed_come_first_and_always(typed, agents, rules) -> None:
    chosen = select_synced(decide_agents(typed, agents, rules))

    assert [agent.id for agent in chosen[: len(typed)]] == [agent.id for agent in typed]
    for agent, wanted in zip(chosen, typed, strict=False):
        assert not wanted.name or agent.name == wanted.name


@given(st.lists(found, max_size=6), rules)
def test_found_ones_are_synced_for_a_reason_of_their_own(agents, rules) -> None:
    by_id = {agent.id: agent for agent in merge_listings(agents)}

    for id in synced(agents, rules):
        assert rules.on
        assert by_id[id].active
        assert id.casefold() not in ("gumball", "analytics")
        assert id not in ("..", "\n")


@given(st.lists(found, max_size=6), rules)
def test_more_patterns_only_widen_include_and_narrow_exclude(agents, rules) -> None:
    def with_more(**more: Names) -> set[str]:
        fields = {name: getattr(rules, name) for name in rules.__struct_fields__}
        return set(synced(agents, Discovery(**{**fields, **more})))

    now = set(synced(agents, rules))

    assert now <= with_more(include=Names((*rules.include, "*a*")))
    assert now >= with_more(exclude=Names((*rules.exclude, "*a*")))
    assert with_more(exclude=Names(("*",))) == set()


@given(st.lists(found, max_size=6, unique_by=lambda agent: agent.id), rules)
def test_the_order_of_the_lists_decides_nothing_but_order(agents, rules) -> None:
    assert set(synced(agents, rules)) == set(synced(agents[::-1], rules))


@given(st.text(min_size=1, max_size=6).filter(str.strip), st.none() | st.text(max_size=6))
def test_a_star_fits_everything_that_can_be_used(id: str, name: str | None) -> None:
    usable = synced([FoundAgent(id, name)], rule())

    assert synced([FoundAgent(id, name)], rule(exclude="*")) == []
    assert synced([FoundAgent(id, name)], rule("**")) == usable


def test_patterns_fit_id_or_name_and_mind_case() -> None:
    agents = [FoundAgent("a1", "Sales bot"), FoundAgent("b2", "sales bot"), FoundAgent("c3", None)]

    assert synced(agents, rule("Sales*")) == ["a1"]
    assert synced(agents, rule("?3")) == ["c3"]
    assert synced(agents, rule("[ab]*")) == ["a1", "b2"]
    assert synced(agents, rule(exclude="*bot")) == ["c3"]
    assert synced(agents, rule("a1", exclude="a1")) == []


def test_a_retired_agent_is_synced_only_if_it_was_typed() -> None:
    retired = FoundAgent("a", "A", None, active=False)

    assert synced([retired], rule()) == []
    assert synced([retired], rule(), Agent("a")) == ["a"]


def test_the_typed_name_goes_before_the_found_one() -> None:
    decided = decide_agents(
        [Agent("a", "Mine"), Agent("b")], [FoundAgent("a", "X"), FoundAgent("b", "Y")], rule()
    )

    assert [decision.name for decision in decided] == ["Mine", "Y"]


@given(st.lists(found, max_size=8))
def test_merging_keeps_each_once_and_forgets_no_fact(agents) -> None:
    once = merge_listings(agents)

    assert [agent.id for agent in once] == list(dict.fromkeys(agent.id for agent in agents))
    assert merge_listings(once) == once
    for agent in once:
        same = [a for a in agents if a.id == agent.id]
        assert agent.active == all(a.active for a in same)
        assert agent.name == next((a.name for a in same if a.name), same[-1].name)
        assert agent.team_id or not any(a.team_id for a in same if a.team_id is not ABSENT)


teams = st.lists(st.builds(Team, st.text("ab", min_size=1, max_size=2), names), max_size=5)
words = st.lists(st.text("ab é", min_size=1, max_size=2), max_size=4)


@given(words, teams)
def test_teams_are_found_by_id_or_name_and_none_in_silence(words, teams) -> None:
    chosen, unknown = select_teams(words, teams)

    assert len({team.id for team in chosen}) == len(chosen)
    for word in words:
        assert (word in unknown) == (not any(word in (t.id, t.name) for t in teams))
    for team in chosen:
        assert {team.id, team.name} & set(words)


@given(teams)
def test_all_means_every_team(teams) -> None:
    chosen, unknown = select_teams(["all"], teams)

    assert ({team.id for team in chosen}, unknown) == ({team.id for team in teams}, [])


known = st.builds(
    KnownAgent,
    ids,
    names,
    st.sampled_from([None, "t1", "t2"]),
    st.none() | st.timedeltas(timedelta(0), timedelta(days=3)).map(lambda ago: NOW - ago),
)


@given(st.lists(known, max_size=6, unique_by=lambda one: one.id), st.sets(ids), rules)
def test_who_is_remembered_was_synced_with_the_rest_and_is_wanted(known, seen, rules) -> None:
    kept = decide_offline(known, lambda team_id: team_id == "t1", seen, rules)
    newest = max((one.started_at for one in known if one.started_at), default=NOW)

    for one in kept:
        assert one.team_id == "t1"
        assert one.id not in seen
        assert newest - one.started_at <= timedelta(days=1)
        assert synced([FoundAgent(one.id, one.name)], rules) or one.id in ("..", "\n")


def test_who_stopped_having_runs_is_not_remembered() -> None:
    retired = KnownAgent("old", None, None, NOW - timedelta(days=2))
    current = KnownAgent("new", None, None, NOW)

    assert decide_offline([retired, current], lambda _: True, (), rule()) == [current]
    assert decide_offline([retired], lambda _: True, (), rule()) == [retired], "all have stopped"


@given(st.text(min_size=1), st.none() | st.text())
@example('"]\nid = "evil', "\x7f\x85\u2028\ud7ff\U0010ffff\\")
def test_the_toml_reads_back_and_has_no_control_character(id: str, name: str | None) -> None:
    text = format_toml(id, name)
    read = tomllib.loads(f"{text}\n{format_toml('next', None)}")

    wanted = {"id": id} | ({"name": name} if name else {})
    assert read == {"agents": [wanted, {"id": "next"}]}
    assert all(char.isprintable() or char == "\n" for char in text)
