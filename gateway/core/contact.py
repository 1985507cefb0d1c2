"""The one whom callers ask about a refusal, in words and for programs."""

from gateway.core.errors import FaregateError

_STATUSES = frozenset({402, 403, 429})
#: the level of limits that are shared by all, and nobody raises for one
REPLICA = "replica"


def name_contact(error: FaregateError, contact: str) -> None:
    """Add a fleet's contact to a refusal that names the limit of somebody."""
    details = error.details or {}
    is_asked = error.status in _STATUSES and "limit" in details and "contact" not in details
    if contact and is_asked and details.get("level") != REPLICA:
        error.details = {**details, "contact": contact}
        error.message = f"{error.message.removesuffix('.')}. Ask {contact}."
