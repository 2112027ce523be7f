"""A real vLLM that serves the bundled checkpoint behind Sightline; see `conftest`."""
