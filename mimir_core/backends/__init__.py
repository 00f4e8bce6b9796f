"""One outside library a file; each implements a protocol of the core and is wired at entry points only."""
