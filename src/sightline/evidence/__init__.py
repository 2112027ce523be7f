"""An answer's values looked up on its pictures: where each stands, or that it does not. Knows no engine, no HTTP."""
