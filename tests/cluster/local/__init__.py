"""A real Kubernetes of one node for machines without a Docker engine.

Builds the programs of Kubernetes, etcd, containerd, CoreDNS, Traefik and Helm once from their Go
modules, and runs them in a network namespace of their own without a route outside, with pods from
images that are built here. Needs root, Go and Debian's packages; imports nothing but the standard
library. It must never touch what it did not make.
"""
