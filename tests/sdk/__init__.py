"""The released SDKs as judges of a running gateway."""
