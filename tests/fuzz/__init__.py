"""Bodies and pictures that nobody would send on purpose, each drawn from a number so that it can be drawn again."""
