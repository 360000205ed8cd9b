"""Commands to begin with: demo, init, check, completion."""
