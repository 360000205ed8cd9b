"""The service: what it is made of, when it runs, and how it is monitored."""
