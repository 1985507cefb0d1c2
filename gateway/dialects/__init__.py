"""One folder a dialect, and beside them what belongs to none."""
