"""Answers against truth: what a figure means is said here, once."""
