"""Commands that fetch and save: sync, backfill, reconcile, verify, run."""
