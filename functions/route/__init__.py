"""Which provider would serve a request, and why."""
