"""Faregate's operator: turns resources into rows, Secrets and replicas. It serves no request."""
