"""The two origins of keys: an object, with which its key is reconciled, and a person.

A person's key stands under an installation of its own. So programs that look for objects' keys find
none of them, those of a release that knows no origin included: they would miss their objects.
"""

from gateway.store.tables import ApiKeyRow

OBJECT = "object"
PERSON = "person"
#: no installation's name ends like this
_PEOPLE = "/people"


def people_of(installation: str) -> str:
    """The installation under which the keys of its people stand."""
    return installation + _PEOPLE


def installation_of(row: ApiKeyRow) -> str:
    """The installation that a key of either origin belongs to."""
    return row.installation.removesuffix(_PEOPLE)
