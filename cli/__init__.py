"""The `ekai` command."""
