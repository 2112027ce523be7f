"""The command line: thin, written for a person."""
