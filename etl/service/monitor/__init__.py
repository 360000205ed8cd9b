"""How `run` is seen from outside: logs, metrics, probes, pings. Nothing below knows of it."""
