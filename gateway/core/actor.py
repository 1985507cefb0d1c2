"""The one who asked for a change, as far as it is known."""

from datetime import datetime

from msgspec import Struct


class Actor(Struct, frozen=True):
    """A name, and when it asked: a field manager of Kubernetes, a file, or a part of ours."""

    name: str
    at: datetime | None = None


UNKNOWN_ACTOR = Actor("unknown")
