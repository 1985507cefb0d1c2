"""Versions, folders and names of the kind that is made here."""

from tests.cluster.local.places import CACHE as LOCAL_CACHE

KIND = "v0.33.0"
CRICTL = "v1.37.0"
LOCAL_PATH = "v0.0.30"
#: the oldest Debian that is served, as its systemd starts on either layout of control groups
SUITE = "bookworm"

CACHE = LOCAL_CACHE.parent / "kind"
NODE_IMAGE = "localhost/kind-node:local"
#: the node image, as `docker load` takes it
NODE_ARCHIVE = CACHE / "node.tar"
STORAGE_IMAGE = f"localhost/local-path-provisioner:{LOCAL_PATH}"
HELPER_IMAGE = "localhost/local-path-helper:1"
