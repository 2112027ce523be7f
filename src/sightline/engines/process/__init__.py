"""An engine in a process of its own: the supervisor, the child, and what they say to each other."""
