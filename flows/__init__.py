"""When, in what order, and what is retried (Prefect)."""
