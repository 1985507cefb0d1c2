"""Groups: accounts below others, pure."""

from collections.abc import Sequence

from gateway.core.spec import AccountObject
from gateway.core.spec_fields import SpecError

#: levels of accounts, from one without a parent down
LEVELS_MAX = 3


def check_accounts(accounts: Sequence[AccountObject]) -> None:
    """Raise `SpecError` where two objects name one account, or the tree is none or too high."""
    objects: dict[tuple[str, str], AccountObject] = {}
    for one in accounts:
        name = (one.metadata.namespace, one.spec.account)
        other = objects.setdefault(name, one)
        if other is not one:
            raise SpecError(
                f"Account {one.metadata.shown}: {other.metadata.name}"
                f" names the account {one.spec.account}, too"
            )
    for (namespace, _), one in objects.items():
        levels, above = 1, one.spec.parent
        while above is not None and levels <= LEVELS_MAX:
            levels += 1
            over = objects.get((namespace, above))
            above = over.spec.parent if over is not None else None
        if levels > LEVELS_MAX:
            raise SpecError(
                f"Account {namespace}/{one.metadata.name}: accounts have {LEVELS_MAX} levels at"
                " most, and none is above itself"
            )
