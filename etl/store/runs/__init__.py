"""What is remembered of an agent between runs, who may write for it, and how a run ends."""
