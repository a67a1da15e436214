"""A caller's preferences."""
