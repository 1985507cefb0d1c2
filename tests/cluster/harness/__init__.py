"""The stories' tools: kubectl, the installation, clients, and evidence on failure."""
