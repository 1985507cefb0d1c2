"""A release: made, compared, verified, and its workflows."""
