"""Tilt and kind, checked as far as a machine without a Docker engine can."""
