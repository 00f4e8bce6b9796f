"""The `mimir` command."""
