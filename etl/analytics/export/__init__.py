"""Tables and views as Parquet and CSV files: one snapshot, one folder, all of it or none."""
