"""Commands that hand on: report, export, lake, explore."""
