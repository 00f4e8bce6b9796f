"""The fixtures of tests/bench_cases.py."""

from bench_cases import folder, model, output, run

__all__ = ["folder", "model", "output", "run"]
