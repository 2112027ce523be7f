"""The service on Ray Serve, for real; see `conftest`."""
