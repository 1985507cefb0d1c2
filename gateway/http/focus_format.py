"""Usage as CSV of FOCUS 1.3, the FinOps Open Cost and Usage Specification.

https://focus.finops.org/focus-specification/v1-3/: its dataset "Cost and Usage", all mandatory
columns and those conditional ones whose condition holds. Credits are the pricing currency, and
the currency that the request names is the billing currency. `ProviderName` and `PublisherName` are
mandatory until 1.3 and are gone in 1.4.
"""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import msgspec

from gateway.core.focus import CreditPrice
from gateway.core.principal import AccountSet
from gateway.core.statement import stamp
from gateway.core.usage import UsageLine, UsageQuery
from gateway.http.spreadsheet import csv_lines

_PRODUCT = "Faregate"
#: a model of a request that was charged before entries had the model
_UNNAMED = "unnamed-model"

#: columns that are the same in each row, None is null
_CONSTANT: dict[str, Any] = {
    "BillingAccountType": "Account",
    "ChargeClass": None,
    "ChargeFrequency": "Usage-Based",
    "HostProviderName": _PRODUCT,
    "InvoiceId": None,
    "InvoiceIssuerName": _PRODUCT,
    "PricingCategory": "Standard",
    "PricingCurrency": "Credits",
    "PricingCurrencyListUnitPrice": Decimal("1.0"),
    "PricingUnit": "Credits",
    "ConsumedUnit": "Requests",
    "ProviderName": _PRODUCT,
    "PublisherName": _PRODUCT,
    "ResourceType": "API Key",
    "ServiceCategory": "AI and Machine Learning",
    "ServiceName": _PRODUCT,
    "ServiceProviderName": _PRODUCT,
    "ServiceSubcategory": "Generative AI",
    "SkuMeter": "Model Requests",
    "SkuPriceDetails": None,
}
#: columns of FOCUS in the order of their names, then ours
COLUMNS = (
    *sorted(
        (
            *_CONSTANT,
            "BilledCost",
            "BillingAccountId",
            "BillingAccountName",
            "BillingCurrency",
            "BillingPeriodEnd",
            "BillingPeriodStart",
            "ChargeCategory",
            "ChargeDescription",
            "ChargePeriodEnd",
            "ChargePeriodStart",
            "ConsumedQuantity",
            "ContractedCost",
            "EffectiveCost",
            "ListCost",
            "ListUnitPrice",
            "PricingCurrencyEffectiveCost",
            "PricingQuantity",
            "ResourceId",
            "ResourceName",
            "SkuId",
            "SkuPriceId",
            "SubAccountId",
            "SubAccountName",
            "SubAccountType",
            "Tags",
        )
    ),
    "x_CacheWriteTokens",
    "x_CachedTokens",
    "x_InputTokens",
    "x_OutputTokens",
    "x_ReasoningTokens",
    "x_Route",
)
_TOKENS = ("CacheWrite", "Cached", "Input", "Output", "Reasoning")


def focus_head() -> bytes:
    """The first line: the names of the columns."""
    return csv_lines([COLUMNS])


def focus_csv(
    whose: str | AccountSet, query: UsageQuery, price: CreditPrice, lines: Sequence[UsageLine]
) -> bytes:
    """Some more lines: of each group what was charged, and what was given back.

    Namespaces are billed together; by account, each account is a part of the bill.
    """
    account = whose if isinstance(whose, str) else ",".join(sorted(whose.namespaces))
    return csv_lines(
        [row.get(name) for name in COLUMNS]
        for line in lines
        for row in _rows(account, query, price, line)
    )


def _rows(
    account: str, query: UsageQuery, price: CreditPrice, line: UsageLine
) -> Iterator[dict[str, Any]]:
    sums, model = line.sums, line.model or _UNNAMED
    part = line.account or line.namespace or account
    shared = {
        **_CONSTANT,
        **_periods(query, line),
        "BillingAccountId": account,
        "BillingAccountName": account,
        "BillingCurrency": price.currency,
        "ChargeCategory": "Usage",
        "ListUnitPrice": price.price,
        "ResourceId": line.key_id,
        "ResourceName": line.key,
        "ResourceType": None if line.key_id is None else _CONSTANT["ResourceType"],
        "SkuId": model,
        "SkuPriceId": model,
        "SubAccountId": part,
        "SubAccountName": part,
        "SubAccountType": "Account" if line.account or not line.namespace else "Namespace",
        "Tags": _tags(query, line),
        "x_Route": line.route or None,
    }
    tokens = {f"x_{name}Tokens": getattr(sums, _member(name)) for name in _TOKENS}
    if sums.requests or sums.charged or any(tokens.values()):
        yield {
            **shared,
            **_costs(price, sums.charged),
            **tokens,
            "ChargeDescription": f"Requests to {model}",
            "ConsumedQuantity": _decimal(sums.requests),
        }
    # FOCUS counts a refund of usage as usage below zero; "Credit" means a promotion there.
    if sums.failed or sums.refunded:
        yield {
            **shared,
            **_costs(price, -sums.refunded),
            **dict.fromkeys(tokens, 0),
            "ChargeDescription": f"Credits given back for requests to {model}",
            "ConsumedQuantity": _decimal(-sums.failed),
        }


def _member(name: str) -> str:
    return "cache_write_tokens" if name == "CacheWrite" else f"{name.lower()}_tokens"


def _costs(price: CreditPrice, credits_used: int) -> dict[str, Any]:
    """All kinds of cost are one: no discounts, no purchases that cover later usage."""
    cost, quantity = price.of(credits_used), _decimal(credits_used)
    return {
        **dict.fromkeys(("BilledCost", "ContractedCost", "EffectiveCost", "ListCost"), cost),
        "PricingCurrencyEffectiveCost": quantity,
        "PricingQuantity": quantity,
    }


def _decimal(number: int) -> Decimal:
    """A whole number with a point: a reader that guesses types from values sees FOCUS's decimal."""
    return Decimal(f"{number}.0")


def _periods(query: UsageQuery, line: UsageLine) -> dict[str, str | None]:
    """The hour or day of UTC, as far as it was asked for, and its month."""
    label = line.time or ""
    begin = datetime.fromisoformat(label).replace(tzinfo=UTC)
    end = begin + (timedelta(days=1) if "day" in query.group_by else timedelta(hours=1))
    month = begin.replace(day=1, hour=0)
    following = (month + timedelta(days=31)).replace(day=1)
    return {
        "ChargePeriodStart": stamp(max(begin, query.period.begin)),
        "ChargePeriodEnd": stamp(min(end, query.period.end)),
        "BillingPeriodStart": stamp(month),
        "BillingPeriodEnd": stamp(following),
    }


def _tags(query: UsageQuery, line: UsageLine) -> str | None:
    """The tag by which the usage is counted, if it is, as JSON."""
    value = query.tag_value if query.tag_value is not None else line.tag
    if query.tag is None or value is None:
        return None
    return msgspec.json.encode({query.tag: value}).decode()
