"""Makes a release in a folder, verifies one, and names the base image by digest.

A release is a function of a commit: the same commit gives the same bytes. Nothing here publishes or
signs; `.github/workflows/release.yaml` does both, with the forge's identity.
"""
