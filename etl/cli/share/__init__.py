"""Commands that hand on: report, export, explore."""
