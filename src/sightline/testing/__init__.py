"""For tests, measurements and the demonstration: a service of one's own for a while, an engine that is scripted."""
