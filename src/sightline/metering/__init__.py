"""What was used: counts from the deltas of an engine."""
