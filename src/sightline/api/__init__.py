"""HTTP, and nothing but: headers, bodies, statuses. The work is the service's."""
