"""A client's connection, the requests on it, and the free routes."""
