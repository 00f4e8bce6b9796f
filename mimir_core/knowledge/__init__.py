"""Documents become chunks, vectors and passages."""
