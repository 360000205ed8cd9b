"""What people write: text files, names of keys and of time zones."""
