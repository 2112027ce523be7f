"""Pixels and messages to deltas. `base.py` is the contract; one file an engine; `registry.py` finds them."""
