"""May this caller run this request now? Keys, and places for running requests."""
