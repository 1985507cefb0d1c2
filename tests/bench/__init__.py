"""The benchmark of the request path: what a request costs, as a ratio to a bare reverse proxy.

Run with `python -m tests.bench`. It owns the programs it starts and the databases it makes, all of
them thrown away at the end; it must never talk to anything but loopback.
See docs/explanation/benchmark.md.
"""
