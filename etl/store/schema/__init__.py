"""What the database is: its tables, migrations, URL and connections."""
