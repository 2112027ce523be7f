"""Side-by-side measurements. Every claim about speed in this project is a ratio printed by one of these."""
