"""What is stored of a person, and what tells of one. Pure.

Email addresses and names are kept, hashed or dropped, by `[privacy]`; what comes from a person who
was forgotten is made anonymous. Titles, messages and their parts are people's own words: of those
only the addresses in titles are treated.
"""

import hashlib
import hmac
import json
import re
from collections.abc import Container, Iterator
from dataclasses import dataclass, field, replace
from typing import Any, Final, TypeVar

import msgspec

from etl.config import Privacy, Treatment
from etl.errors import ConfigError
from etl.models import ABSENT, Creator, Message, Rejected, Session

Record = TypeVar("Record", Session, Message)

SHORTEST_SALT: Final = 16
"""In characters. With a shorter one, whoever has the hashes could try all salts."""

GONE: Final = "***"
UNREADABLE: Final = object()
ALL_KEPT: Final = "keep keep -"
"""The mark of a database whose rows were stored as they came."""

WORD: Final = re.compile(r"[^\s<>\"'(),;:=]+")
QUOTED: Final = re.compile(r"'.*'|\".*\"", re.DOTALL)
EMAIL_KEYS: Final = re.compile(r"mail(address)?$")
NAME_KEYS: Final = frozenset(
    ["firstname", "lastname", "fullname", "givenname", "familyname", "displayname", "username"]
)
PICTURE_KEYS: Final = frozenset({"profilepicture", "avatar", "avatarurl"})
PEOPLE_KEYS: Final = frozenset(
    ["creator", "creators", "user", "users", "owner", "owners", "author", "participants", "members"]
)
"""Whatever stands under these keys tells of people: but for ids it counts as a name.

All keys are compared in small letters, without underscores.
"""


@dataclass(frozen=True, slots=True)
class Rules:
    """How email addresses and names are stored. `repr` leaves the salt out."""

    emails: Treatment = "keep"
    names: Treatment = "keep"
    salt: bytes = field(default=b"", repr=False)

    @property
    def on(self) -> bool:
        """Whether anything is treated at all."""
        return (self.emails, self.names) != ("keep", "keep")

    @property
    def mark(self) -> str:
        """These rules in words, with a fingerprint in place of the salt."""
        return f"{self.emails} {self.names} {self._fingerprint}"

    @property
    def _fingerprint(self) -> str:
        if "hash" not in (self.emails, self.names):
            return "-"
        return _sign(self.salt, "gumloop-etl: fingerprint of the salt")[:16]

    def redact_email(self, value: str | None) -> str | None:
        """An address; its case and the blanks around it don't matter to its hash."""
        return self._redact(self.emails, value, (value or "").strip().lower())

    def redact_name(self, value: str | None) -> str | None:
        """A name; in place of one there may be an address."""
        if self.names == "keep":
            return value and self.redact_text(value)
        return self._redact(self.names, value, value or "")

    def redact_picture(self, value: str | None) -> str | None:
        """The address of a picture: it shows the person, so it goes where names do not stay."""
        return value if self.names == "keep" else None

    def redact_text(self, text: str) -> str:
        """A text without the email addresses in it, unless they are kept."""
        if self.emails == "keep" or "@" not in text:
            return text
        return WORD.sub(lambda word: GONE if _is_address(word[0]) else word[0], text)

    def redact_creator(self, creator: Creator) -> Creator:
        """A creator; the id stays."""
        names = self.redact_name(creator.first_name), self.redact_name(creator.last_name)
        picture = self.redact_picture(creator.profile_picture)
        return Creator(creator.id, *names, self.redact_email(creator.email), picture)

    def redact_session(self, session: Session) -> Session:
        """A session: its title and what no column holds."""
        changed: dict[str, Any] = {}
        if isinstance(session.name, str) and self.redact_text(session.name) != session.name:
            changed["name"] = self.redact_text(session.name)
        if isinstance(session.extra, dict):
            changed["extra"] = self._redact_extra(session.extra)
        return msgspec.structs.replace(session, **changed) if changed else session

    def _redact_extra(self, extra: dict[str, Any]) -> Any:
        try:
            return self.redact_value(extra)
        except RecursionError:
            return ABSENT

    def redact_message(self, message: Message) -> Message:
        """A message; its content and parts are the writer's own."""
        if message.extra is None:
            return message
        return msgspec.structs.replace(message, extra=self.redact_json(message.extra))

    def redact_rejected(self, bad: Rejected) -> Rejected:
        """A record that was set aside; one that can't be read is not stored, only its digest."""
        return Rejected(self.redact_json(bad.payload), self.redact_text(bad.reason), bad.id)

    def redact_json(self, text: str) -> str:
        """A JSON text; of one that isn't JSON, its SHA-256 in its place."""
        value = _parse_json(text)
        try:
            treated = value if value is UNREADABLE else self.redact_value(value)
        except RecursionError:
            treated = UNREADABLE
        if treated is UNREADABLE:
            digest = hashlib.sha256(text.encode(errors="replace")).hexdigest()
            return json.dumps({"sha256": digest})
        return text if treated == value else json.dumps(treated, ensure_ascii=False)

    def redact_value(self, value: Any, *, of_person: bool = False) -> Any:
        """A value of JSON, with all that is in it."""
        if isinstance(value, dict):
            return {
                self.redact_text(k): self._redact_field(k, v, of_person) for k, v in value.items()
            }
        if isinstance(value, list):
            return [self.redact_value(one, of_person=of_person) for one in value]
        if isinstance(value, str):
            return self._redact_word(value) if of_person else self.redact_text(value)
        is_plain = value is None or isinstance(value, bool)
        return value if is_plain or not of_person or self.names == "keep" else None

    def _redact_field(self, key: str, value: Any, of_person: bool) -> Any:
        plain = key.replace("_", "").lower()
        if not isinstance(value, str):
            return self.redact_value(value, of_person=of_person or plain in PEOPLE_KEYS)
        if EMAIL_KEYS.search(plain):
            return self.redact_email(value)
        if plain in PICTURE_KEYS:
            return self.redact_picture(value)
        if plain in NAME_KEYS:
            return self.redact_name(value)
        if plain in PEOPLE_KEYS or (of_person and not plain.endswith("id")):
            return self._redact_word(value)
        return self.redact_text(value)

    def _redact_word(self, value: str) -> str | None:
        """A string that tells of a person: an address, or else it counts as a name."""
        return self.redact_email(value) if _is_address(value) else self.redact_name(value)

    def _redact(self, how: Treatment, value: str | None, hashed: str) -> str | None:
        if how == "keep" or not value:
            return value
        return _sign(self.salt, hashed) if how == "hash" else None


def make_rules(privacy: Privacy, salt: str | None) -> Rules:
    """The rules of `[privacy]`. Raises ConfigError if they need a salt and it isn't a good one."""
    if "hash" in (privacy.emails, privacy.names):
        hint = "python -c 'import secrets; print(secrets.token_hex())' makes one; keep it"
        if salt is None:
            what = '[privacy] with "hash" needs a secret salt in ETL_PRIVACY_SALT (or ..._FILE)'
            raise ConfigError(what, hint)
        if len(salt) < SHORTEST_SALT:
            what = f"ETL_PRIVACY_SALT is shorter than {SHORTEST_SALT} characters"
            raise ConfigError(what, hint)
    return Rules(privacy.emails, privacy.names, (salt or "").encode())


def change(stored: str, rules: Rules) -> Rules:
    """What turns values stored under rules of this mark into such as the new rules allow.

    A hash can't be undone, nor one with another salt be compared: such values are dropped, and
    come again from the API.
    """
    emails, names, fingerprint = stored.split()
    same_salt = fingerprint == rules._fingerprint
    return replace(
        rules,
        emails=_change(emails, rules.emails, same_salt),
        names=_change(names, rules.names, same_salt),
    )


def _change(old: str, new: Treatment, same_salt: bool) -> Treatment:
    if old == "keep":
        return new
    return "keep" if old == new and (new == "drop" or same_salt) else "drop"


def make_pseudonym(salt: str, identifier: str) -> str:
    """What is remembered of a forgotten person's id or address: enough to know it again."""
    return _sign(salt.encode(), identifier)


def list_mentions(value: Any) -> set[str]:
    """Every string in a value of JSON that may be an id or an address; addresses in small."""
    found: set[str] = set()
    for text in _list_strings(value):
        found.add(text)
        if "@" in text:
            found |= {word.lower() for word in WORD.findall(text) if _is_address(word)}
    return found


def find_mentions(text: str) -> set[str]:
    """What may name a person in a JSON text; of one that can't be read, its words."""
    value = _parse_json(text)
    return list_mentions(value) if value is not UNREADABLE else {text, *list_words(text)}


def list_words(text: str) -> set[str]:
    """Every word of a sentence that may be an id or an address."""
    return list_mentions(WORD.findall(text))


def make_anonymous(session: Session) -> Session:
    """A session of nobody: how it went and what it cost."""
    return msgspec.structs.replace(session, creator_id=None, name=None, extra=None)


def drop_extra(record: Record) -> Record:
    """Somebody else's record that tells of a forgotten person where no column does."""
    return msgspec.structs.replace(record, extra=None)


def is_theirs(creator_id: object, gone: Container[str]) -> bool:
    """Whether a record that tells of forgotten people is their own: if it isn't another's."""
    return not isinstance(creator_id, str) or creator_id in gone


def empty_message(message: Message) -> Message:
    """A message in its place, without who wrote it and what."""
    return Message(message.position, role=message.role, created_at=message.created_at)


def reduce_rejected(bad: Rejected) -> Rejected:
    """A rejected record reduced to its id and what is wrong with it."""
    return Rejected(json.dumps({"id": bad.id}), QUOTED.sub(GONE, bad.reason), bad.id)


def _parse_json(text: str) -> Any:
    """The value of a JSON text, UNREADABLE if it is none or can't be written again.

    So is one that repeats a key: what the first one holds would not be looked at.
    """
    try:
        value = json.loads(text, object_pairs_hook=_require_unique)
        json.dumps(value, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        return UNREADABLE
    return value


def _require_unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) < len(pairs):
        raise ValueError("a key is repeated")
    return value


def _list_strings(value: Any) -> Iterator[str]:
    """Every string in it, keys too. Not by recursion: it may be nested deeply."""
    waiting = [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, str):
            yield one
        elif isinstance(one, list):
            waiting += one
        elif isinstance(one, dict):
            waiting += (*one, *one.values())


def _is_address(word: str) -> bool:
    return "@" in word[1:-1] and not any(char.isspace() for char in word.strip())


def _sign(salt: bytes, text: str) -> str:
    return hmac.new(salt, text.encode(errors="replace"), hashlib.sha256).hexdigest()
