"""What the stories are told with: kubectl, the installation, clients, and evidence on failure."""
