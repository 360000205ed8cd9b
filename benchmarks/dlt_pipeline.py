"""The same with dlt: a REST source that stops where the last run began, merged by id, tuned.

An agent is a resource, the resources are extracted side by side; flat records with declared
columns, big buffers, COPY (csv) into PostgreSQL. Set DLT_DATA_DIR to a folder of its own.

    python benchmarks/dlt_pipeline.py BASE_URL DATABASE_URL AGENT...
"""

import os
import sys
from collections.abc import Iterator
from typing import Any

os.environ |= {
    "RUNTIME__DLTHUB_TELEMETRY": "false",
    "RUNTIME__LOG_LEVEL": "ERROR",
    "EXTRACT__WORKERS": "16",
    "EXTRACT__MAX_PARALLEL_ITEMS": "32",
    "DATA_WRITER__BUFFER_MAX_ITEMS": "50000",
    "NORMALIZE__WORKERS": "1",
    "LOAD__WORKERS": "2",
}

import dlt
from dlt.sources.helpers.rest_client import RESTClient
from dlt.sources.helpers.rest_client.auth import BearerTokenAuth
from dlt.sources.helpers.rest_client.paginators import JSONResponseCursorPaginator

COLUMNS: Any = {
    "id": {"data_type": "text", "nullable": False},
    "created_at": {"data_type": "timestamp"},
    **{name: {"data_type": "text"} for name in ("agent_id", "creator_id", "name", "type", "state")},
    "credit_cost": {"data_type": "double"},
    "input_tokens": {"data_type": "bigint"},
    "output_tokens": {"data_type": "bigint"},
}


def sessions(base: str, agent: str, strategy: str) -> Any:
    # No deduplication at the boundary: the merge does it. The lag is our own lookback's.
    since = dlt.sources.incremental("created_at", row_order="desc", lag=3600, primary_key=())

    @dlt.resource(
        name=f"sessions_{agent}",
        table_name="sessions",
        primary_key="id",
        write_disposition={"disposition": "merge", "strategy": strategy},
        columns=COLUMNS,
        max_table_nesting=0,
        parallelized=True,
    )
    def pages(created_at: Any = since) -> Iterator[list[dict[str, Any]]]:
        client = RESTClient(
            base_url=base,
            auth=BearerTokenAuth(os.environ["GUMLOOP_ACCESS_TOKEN"]),
            paginator=JSONResponseCursorPaginator(cursor_path="next_cursor", cursor_param="cursor"),
            data_selector="sessions",
        )
        params = {"page_size": 100, "sort_order": "newest"}
        for page in client.paginate(f"agents/{agent}/sessions", params=params):
            yield [flat(record) for record in page]

    return pages


def flat(record: dict[str, Any]) -> dict[str, Any]:
    usage, creator = record.get("usage") or {}, record.get("creator") or {}
    return {
        "id": record["id"],
        "agent_id": record["agent_id"],
        "creator_id": creator.get("id"),
        "name": record["name"],
        "type": record["type"],
        "state": record["state"],
        "created_at": record["created_at"],
        "credit_cost": usage.get("credit_cost"),
        "input_tokens": usage.get("input_tokens"),
        "output_tokens": usage.get("output_tokens"),
    }


def with_password(url: str) -> str:
    """Dlt wants a password even where the server trusts everyone, as that of the benchmark does."""
    user, _, rest = url.removeprefix("postgresql://").partition("@")
    return url if ":" in user else f"postgresql://{user}:none@{rest}"


def main(base: str, url: str, agents: list[str]) -> None:
    is_sqlite = url.startswith("sqlite")
    kind = dlt.destinations.sqlalchemy if is_sqlite else dlt.destinations.postgres
    pipeline = dlt.pipeline(
        "bench",
        destination=kind(credentials=url if is_sqlite else with_password(url)),
        dataset_name="main" if is_sqlite else "public",
        pipelines_dir=os.environ["DLT_DATA_DIR"],
    )
    # The destination of SQLite knows no upsert.
    strategy = "delete-insert" if is_sqlite else "upsert"
    resources = [sessions(base, agent, strategy) for agent in agents]
    pipeline.run(resources, loader_file_format=None if is_sqlite else "csv")


if __name__ == "__main__":
    if sys.argv[1:] == ["--help"]:
        print(__doc__)
    else:
        main(sys.argv[1], sys.argv[2], sys.argv[3:])
