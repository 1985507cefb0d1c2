"""The money value of a credit, for an export of usage in the FOCUS format.

Credits have none of their own: each request for the export states it.
"""

import re
from decimal import Context, Decimal

from msgspec import Struct

from gateway.core.usage import QueryError, UsageQuery

#: a charge row is of one of these, and of one key, model and route
GROUPS = ("key", "model", "route")
_CURRENCY = re.compile(r"[A-Z]{3}")
_PRICE = re.compile(r"[0-9]{1,9}(\.[0-9]{1,12})?")
#: so many digits that no product of credits and a price is rounded
_EXACT = Context(prec=64)


class CreditPrice(Struct, frozen=True):
    """The money value of one credit, in a currency of ISO 4217."""

    currency: str
    price: Decimal

    def of(self, credits_used: int) -> Decimal:
        """The exact money value of some credits."""
        return _EXACT.plus(_EXACT.multiply(self.price, Decimal(credits_used)))  # never -0


def read_credit_price(currency: str | None, price: str | None) -> CreditPrice:
    """The price as somebody has given it. Raises `QueryError`."""
    if currency is None or not _CURRENCY.fullmatch(currency):
        raise QueryError(
            "FOCUS states costs in money: currency must be a code of ISO 4217, such as EUR",
            "currency",
        )
    if price is None or not _PRICE.fullmatch(price):
        raise QueryError(
            "credit_price must be what one credit costs in the currency, such as 0.0001; with 9"
            " digits before the point and 12 behind it at most",
            "credit_price",
        )
    return CreditPrice(currency, Decimal(price if "." in price else f"{price}.0"))


def focus_groups(group_by: str | None) -> str:
    """The groups of an export: those asked for, and what a charge row cannot do without."""
    return ",".join((group_by or "day", *GROUPS))


def check_focus(query: UsageQuery) -> None:
    """Refuse a question whose rows would have no charge period. Raises `QueryError`."""
    if not {"day", "hour"}.intersection(query.group_by):
        raise QueryError("with format=focus, group_by must have day or hour", "group_by")
    if query.zone not in ("UTC", "Z"):
        raise QueryError("with format=focus, the timezone must be UTC", "timezone")
