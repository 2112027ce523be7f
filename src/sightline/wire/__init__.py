"""OpenAI's JSON to core values and back. Knows nothing of HTTP, keys or engines."""
