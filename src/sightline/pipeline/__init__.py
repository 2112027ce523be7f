"""What happens to a parsed request: admit → images → prompt → engine → meter. Knows nothing of HTTP or JSON."""
