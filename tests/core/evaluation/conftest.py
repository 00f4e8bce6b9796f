"""The fixtures of tests/held_out.py."""

from held_out import cases, params, rules, score, table, write

__all__ = ["cases", "params", "rules", "score", "table", "write"]
