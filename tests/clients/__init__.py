"""The released agent clients, run as people run them, against a gateway and its upstream."""
