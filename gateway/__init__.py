"""Faregate's gateway: serves two API families and remembers every credit. Knows no Kubernetes."""

__version__ = "0.2.0"
