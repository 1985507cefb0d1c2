"""Turns, places and threads: work shared by accounts. No I/O."""
