"""The HTTP API: who may ask what, and what is answered."""
