"""Commands that look after the database: db, forget."""
