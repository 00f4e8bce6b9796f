"""The fixtures of tests/held_out.py."""

from held_out import cases, score, write

__all__ = ["cases", "score", "write"]
