"""The service: who is joined to whom, when it runs, and how it is watched."""
