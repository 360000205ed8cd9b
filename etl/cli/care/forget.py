"""`forget`: erases a person."""

import argparse
import shlex
from typing import TYPE_CHECKING

from etl.cli.common import confirm, load_settings, open_store, print_stderr
from etl.cli.table import make_printable
from etl.errors import ConfigError, StoreError
from etl.invocation import program_name
from etl.wording import count

if TYPE_CHECKING:
    from etl.store.privacy.forget import Person
    from etl.store.store import Store

NAME = "forget"
HELP = "erase a person's data everywhere, and keep it from coming back"
MOST_IDS = 5
"""Ids that are shown where a name fits several creators."""


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--creator",
        action="append",
        required=True,
        metavar="ID",
        help="whom: the id in creators (may be repeated)",
    )
    parser.add_argument("--yes", action="store_true", help="don't ask")


def run(args: argparse.Namespace) -> int:
    """Ask, erase, and take the traces out of the files."""
    from etl.store.lakes import list_lakes

    if any("\ud800" <= char <= "\udfff" for id in args.creator for char in id):
        raise ConfigError("an id of --creator is not UTF-8", "copy it from the table creators")
    with open_store(load_settings(args).database.url) as store:
        people = _find_people(store, args.creator)
        if not args.yes and not confirm("Erase them?"):
            print_stderr("nothing was erased")
            return 1
        _erase_rows(store, people)
        for lake in list_lakes(store):
            target = shlex.quote(make_printable(lake.target))
            print(f"next, for the lake's files: {program_name()} lake {target}", flush=True)
        _erase_traces(store)
    print("nothing of them is left in the database's files, and no sync will bring it back")
    print("backups, replicas and exported files are not reached: delete those yourself")
    return 0


def _find_people(store: "Store", ids: list[str]) -> "list[Person]":
    """Print what is stored of them. Raises ConfigError for what can't be an id."""
    from etl.store.privacy.forget import find_person

    people = [find_person(store, id) for id in dict.fromkeys(ids)]
    for person in people:
        _check_id(person)
        print(_describe_person(person), flush=True)
    return people


def _erase_rows(store: "Store", people: "list[Person]") -> None:
    from etl.store.privacy.forget import forget

    for person in people:
        done = forget(store, person.id)
        counts = f"{count(done.sessions, 'session')} made anonymous, "
        counts += f"{count(done.messages, 'message')} erased, "
        counts += f"{count(done.payloads, 'rejected payload')} erased"
        print(f"{make_printable(person.id)}: forgotten: {counts}", flush=True)


def _erase_traces(store: "Store") -> None:
    """Rewrite the database's files without what was erased. Raises StoreError."""
    from etl.store.privacy.compact import compact

    try:
        compact(store)
    except StoreError as error:
        what = f"the rows are erased, but not their traces in the files: {error.message}"
        command = f"`{program_name()} db compact`"
        hint = error.hint if command in error.hint else f"{error.hint}; then {command}"
        raise StoreError(what, hint) from None


def _check_id(person: "Person") -> None:
    """Refuse an address or a name in place of an id: nothing would be erased."""
    if not person.id or ("@" in person.id and not (person.is_known or person.was_forgotten)):
        hint = "SELECT id FROM creators WHERE email = '...' finds it"
        raise ConfigError(f"no creator has the id {make_printable(person.id)!r}", hint)
    if person.namesakes and not person.was_forgotten:
        ids = ", ".join(map(make_printable, person.namesakes[:MOST_IDS]))
        what = f"{make_printable(person.id)!r} is the name of a creator, and no id"
        raise ConfigError(what, f"creators of that name: {ids}")


def _describe_person(person: "Person") -> str:
    held = f"{count(person.sessions, 'session')} and {count(person.messages, 'message')}"
    found = f"{held} of theirs are stored"
    if not person.is_known:
        found = "was forgotten before" if person.was_forgotten else "not stored so far"
    return f"{make_printable(person.id)}: {found}"
