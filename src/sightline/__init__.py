"""Sightline: the vision inference API that you host yourself."""

__version__ = "0.1.0"
