"""The API: decoding its responses (pure) and fetching them (HTTP)."""

import sys

# With httpx comes its command line, and with that rich, pygments and click where they are
# installed: 30 to 60 ms of each start. httpx is prepared to do without.
sys.modules.setdefault("httpx._main", None)  # type: ignore[arg-type]
