"""The pictures of the docs, made from the product itself.

Run with `make pictures`. `session` runs the product and records a terminal, `terminal` draws that;
`layers` draws the import contract of `pyproject.toml`. Tests compare the files
with the drawings.
"""
