"""The API: decoding its answers (pure) and fetching them (HTTP)."""
