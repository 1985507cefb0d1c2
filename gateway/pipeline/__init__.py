"""A charged request from its key to its end."""
