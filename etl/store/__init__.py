"""The database: tables, migrations, and every statement that the program makes."""
