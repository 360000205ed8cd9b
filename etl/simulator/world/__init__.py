"""The truth behind the simulated API, and how it changes."""
