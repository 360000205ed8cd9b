"""Reading the history: the report, exports, the database in a browser."""
