"""What this gateway serves, described."""
