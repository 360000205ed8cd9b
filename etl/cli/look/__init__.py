"""Commands that show: status, runs, agents, list, search."""
