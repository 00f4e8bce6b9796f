"""What must never leave, and what may be proposed."""
