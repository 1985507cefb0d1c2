"""Migrations: numbered steps, each of which lets the previous release's gateway go on charging."""

#: the newest step, known without loading the migration tool (a test compares)
HEAD = "0024"
