"""Ids of requests and of their charges: sortable by time, so that the ledger's index grows at its
end."""

import random
import secrets
import time
from datetime import datetime

_RANDOM_BITS = 80
#: seeded by the system once; ids must differ, nobody's secret hangs on them
_random = random.Random(secrets.token_bytes(32))  # noqa: S311


def new_request_id() -> str:
    """The id of a request and of its charge."""
    return f"req_{time.time_ns() // 1_000_000:012x}{_random.getrandbits(_RANDOM_BITS):020x}"


def first_id_of(moment: datetime) -> str:
    """Ids made before this moment are less, those made later greater."""
    return f"req_{max(0, int(moment.timestamp() * 1000)):012x}"
