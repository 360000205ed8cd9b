"""Sync the sessions of Gumloop agents into a SQL database, and keep them true."""

__version__ = "0.1.0"
