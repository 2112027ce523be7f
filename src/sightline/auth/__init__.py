"""API keys: made, hashed, looked up, revoked; what each may do."""
