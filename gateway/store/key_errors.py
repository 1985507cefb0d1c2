"""Errors of applying a key, for those who need not load what applies it."""

from gateway.core.errors import Repairable


class DuplicateCredential(Repairable, ValueError):
    """Another key has the same plaintext; the message names it.

    Only for readers who may see that key's namespace: its holder need not be known elsewhere.
    """

    def __init__(self, namespace: str, name: str) -> None:
        super().__init__(f"the same key belongs to {namespace}/{name}")
        self.namespace = namespace


class KeyMoved(RuntimeError):
    """The row is not any more what its reader saw; read and decide again."""
