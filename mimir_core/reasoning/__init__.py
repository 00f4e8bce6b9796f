"""A pack of evidence becomes a diagnosis whose every claim is checked."""
