"""Hours of a service in minutes: real processes that are killed and restarted under load."""
