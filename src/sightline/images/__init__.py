"""References to pixels: what was sent, within which limits, and what a model sees of it. Nothing is ever fetched."""
