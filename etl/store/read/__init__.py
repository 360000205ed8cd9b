"""What commands, probes and searches read. Nothing here writes."""
