"""From the bytes of a response to records. Pure: no clock, no network."""
