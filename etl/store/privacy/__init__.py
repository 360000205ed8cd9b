"""Personal data in the database: leave it out, erase it, forget it."""
