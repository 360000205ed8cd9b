"""What a sync costs, next to the floor and to other tools: see docs/benchmarks.md."""
