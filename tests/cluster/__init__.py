"""Stories in a real cluster: `make test-cluster` finds or makes one and runs them there."""
