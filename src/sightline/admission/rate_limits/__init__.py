"""Requests and tokens a minute: the policy (`limiter`) and where it counts (`memory`, `redis`), by GCRA."""
