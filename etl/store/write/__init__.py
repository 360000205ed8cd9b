"""Everything that a run writes, and the statements that make it fast."""
