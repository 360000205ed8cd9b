"""The loops: fetch pages, ask the rules, save. One agent's run at a time."""
