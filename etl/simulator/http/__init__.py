"""The simulated API over HTTP: server, endpoints, faults."""
