"""Engines in the replicas of a Ray Serve deployment."""
