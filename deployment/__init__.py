"""The ways in: the command line, and what starts the servers."""
