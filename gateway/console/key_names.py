"""The names of an account's keys as people gave them."""

from collections import Counter

from gateway.core.principal import AccountSet
from gateway.store.database import Database
from gateway.store.key_list import PAGE_MAX, KeyFilter, ShownKey, list_shown_keys

#: a key's id to the name that is shown for it
KeyNames = dict[str, str]


def read_key_names(database: Database, installation: str, account: str) -> KeyNames:
    """Names of the newest keys of an account, all of them different.

    Raises `DatabaseUnavailable`.
    """
    reach = AccountSet.of(account)
    page = list_shown_keys(database, installation, reach, KeyFilter(), PAGE_MAX)
    times = Counter(name_of(key) for key in page.keys)
    names: KeyNames = {}
    for key in page.keys:
        name = name_of(key)
        names[key.key_id] = name if times[name] == 1 else f"{name} ({key.prefix}…)"
    return names


def name_of(key: ShownKey) -> str:
    """The name of a key: the one that a person gave it, or its object's."""
    return key.label or (key.name if key.origin == "object" else key.key_id)
