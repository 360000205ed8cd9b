"""Reading the history: the report, exports, lakes, the database in a browser."""
