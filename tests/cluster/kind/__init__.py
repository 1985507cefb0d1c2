"""A real kind: the way of the install pages, then the cluster's stories (`make test-kind`).

Where no Docker engine answers, root on Debian gets one in namespaces of its own; where no registry
of images can be reached, the images are made from packages.
"""
