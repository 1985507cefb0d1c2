"""Real parts for the tests: a PostgreSQL of our own, gateway processes, keys and grants."""
