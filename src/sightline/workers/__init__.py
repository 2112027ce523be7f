"""Several processes that answer on one port of one machine, with one set of engines and one count of everything."""
