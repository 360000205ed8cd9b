"""The report: one HTML file that shows what the database holds of a range of time."""
