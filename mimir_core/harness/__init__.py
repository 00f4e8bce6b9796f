"""Providers beside each other on recorded cases: correlation, root cause, remediation and a dry run, with what they cost."""
