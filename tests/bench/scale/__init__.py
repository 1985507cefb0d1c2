"""The limits of one operator and one database: `make bench-scale`."""
