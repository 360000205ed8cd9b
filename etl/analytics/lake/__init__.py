"""`lake`: Delta tables on a folder or an object store that follow the database."""
