"""Signals become evidence, and evidence becomes ranked candidates. No model is needed."""
