"""Incidents with known truth: drawn from a seed, as a monitoring stack would have recorded them (docs/simulate.md)."""
