"""The gateway's monthly budget."""
