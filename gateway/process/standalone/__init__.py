"""Without Kubernetes: the same documents from one file, with secrets in a folder."""
