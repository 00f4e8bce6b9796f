"""What Mimir means: evidence, ranking, diagnosis, verification. Knows no scheduler, tracker or server."""
