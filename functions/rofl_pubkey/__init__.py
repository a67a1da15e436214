"""The key to which owners encrypt."""
