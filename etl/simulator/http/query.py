"""What a list request asks for, checked."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from etl.simulator.http.cursor import decode_cursor, encode_cursor
from etl.simulator.http.errors import bad_request
from etl.simulator.world.rows import Key, Order

DEFAULT_PAGE_SIZE = 20
MAX_PAGE_SIZE = 100
STATE_FILTERS = ("processing", "completed", "failed", "queued", "idle")

Params = Mapping[str, str]


@dataclass(frozen=True)
class Filters:
    """The filters of a session list; None means not asked for."""

    state: str | None = None
    type: str | None = None
    creator_user_id: str | None = None
    trigger_id: str | None = None
    search: str | None = None

    @property
    def needs_record(self) -> bool:
        """Whether the state index alone can't tell which sessions match."""
        wanted = (self.type, self.creator_user_id, self.trigger_id, self.search)
        return any(value is not None for value in wanted)

    def match(self, record: Any, trigger_id: str | None) -> bool:
        """Tell whether *record* passes every filter but the state's."""
        if not isinstance(record, dict):
            return False
        creator = record.get("creator")
        creator_id = creator.get("id") if isinstance(creator, dict) else None
        return (
            self.type in (None, record.get("type"))
            and self.creator_user_id in (None, creator_id)
            and self.trigger_id in (None, trigger_id)
            and self._is_found(record.get("name"))
        )

    def _is_found(self, name: object) -> bool:
        if not self.search:
            return True
        return isinstance(name, str) and self.search.casefold() in name.casefold()

    def bound(self) -> str:
        """Return a text that differs for different filters, empty without any."""
        pairs = (
            ("state", self.state),
            ("type", self.type),
            ("creator_user_id", self.creator_user_id),
            ("trigger_id", self.trigger_id),
            ("search", self.search),
        )
        used = [pair for pair in pairs if pair[1] is not None]
        return repr(used) if used else ""


@dataclass(frozen=True)
class ListQuery:
    """One page of one agent's sessions."""

    filters: Filters = Filters()
    order: Order = "newest"
    page_size: int = DEFAULT_PAGE_SIZE
    cursor: str | None = None

    def after(self) -> Key | None:
        """Return the key behind which the page begins; raises ApiError for a bad cursor."""
        if self.cursor is None:
            return None
        return decode_cursor(self.cursor, self.order, self.filters.bound())

    def cursor_at(self, key: Key) -> str:
        """Return the cursor that goes on after *key* under this query."""
        return encode_cursor(key, self.order, self.filters.bound())


def parse_list_query(params: Params) -> ListQuery:
    """Return the query in *params*; raises ApiError (400) for one that the API refuses."""
    return ListQuery(
        filters=_parse_filters(params),
        order=_order(params.get("sort_order")),
        page_size=parse_page_size(params),
        cursor=params.get("cursor"),
    )


def parse_page_size(params: Params) -> int:
    """Return the page size asked for, or the default; raises ApiError (400) out of bounds."""
    text = params.get("page_size", str(DEFAULT_PAGE_SIZE))
    size = int(text) if text.isascii() and text.isdigit() and len(text) < 9 else 0
    if not 1 <= size <= MAX_PAGE_SIZE:
        raise bad_request("invalid_page_size", "page_size must be 1 to 100", "page_size")
    return size


def _parse_filters(params: Params) -> Filters:
    state = params.get("state")
    if state is not None and state not in STATE_FILTERS:
        message = f"state must be one of {', '.join(STATE_FILTERS)}"
        raise bad_request("invalid_state", message, "state")
    return Filters(
        state=state,
        type=params.get("type"),
        creator_user_id=params.get("creator_user_id"),
        trigger_id=params.get("trigger_id"),
        search=params.get("search", params.get("search_query")),
    )


def _order(text: str | None) -> Order:
    if text is None or text == "newest":
        return "newest"
    if text == "oldest":
        return "oldest"
    message = "sort_order must be newest or oldest"
    raise bad_request("invalid_sort_order", message, "sort_order")
