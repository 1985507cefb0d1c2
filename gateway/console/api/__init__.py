"""The JSON API of `/api/v1`: accounts, keys, grants, usage and entries, for automation."""
