"""All SQL: keys, grants, the ledger."""
