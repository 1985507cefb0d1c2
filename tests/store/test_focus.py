"""Usage as FOCUS 1.3: its rules row by row, and the ledger's totals for any history."""

import csv
import io
import json
import random
import re
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from gateway.core.focus import check_focus, focus_groups, read_credit_price
from gateway.core.principal import AccountSet
from gateway.core.statement import PeriodError
from gateway.core.usage import UsageLine, UsageQuery, UsageSums, read_query
from gateway.http.focus_format import COLUMNS, focus_csv, focus_head
from gateway.http.spreadsheet import cell
from tests.harness.books import Books
from tests.store.test_usage_reader import NOW, book_some, expected, read

#: "Feature level: Mandatory" in the dataset "Cost and Usage" of FOCUS 1.3, and if null is allowed
MANDATORY = {
    "BilledCost": False, "BillingAccountId": False, "BillingAccountName": True,
    "BillingCurrency": False, "BillingPeriodEnd": False, "BillingPeriodStart": False,
    "ChargeCategory": False, "ChargeClass": True, "ChargeDescription": True,
    "ChargePeriodEnd": False, "ChargePeriodStart": False, "ContractedCost": False,
    "EffectiveCost": False, "HostProviderName": True, "InvoiceIssuerName": False,
    "ListCost": False, "PricingQuantity": True, "PricingUnit": True, "ProviderName": False,
    "PublisherName": False, "ServiceCategory": False, "ServiceName": False,
    "ServiceProviderName": False,
}  # fmt: skip
#: conditional or recommended ones that are there; for usage all of them but these must have values
NULLABLE = {
    "InvoiceId", "ResourceId", "ResourceName", "ResourceType", "SkuPriceDetails", "Tags", "x_Route",
}  # fmt: skip
NUMBER = re.compile(r"-?(0|[1-9]\d*)\.\d+")
MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:00:00Z")
PRICE = read_credit_price("EUR", "0.0003")


def rows_of(query: UsageQuery, lines: list[UsageLine]) -> list[dict[str, str]]:
    return rows_for("team/alice", query, lines)


def rows_for(
    whose: str | AccountSet, query: UsageQuery, lines: list[UsageLine]
) -> list[dict[str, str]]:
    text = (focus_head() + focus_csv(whose, query, PRICE, lines)).decode()
    return list(csv.DictReader(io.StringIO(text, newline="")))


def judge(row: dict[str, str], query: UsageQuery) -> None:
    """Compare a row of usage with the rules of FOCUS 1.3."""
    nullable = NULLABLE | {"ChargeClass"}
    assert {name for name in row if not row[name]} <= nullable
    assert row["ChargeClass"] == "", "no correction of a closed billing period"
    assert (row["ChargeCategory"], row["ChargeFrequency"]) == ("Usage", "Usage-Based")
    assert (row["BillingCurrency"], row["PricingCurrency"]) == ("EUR", "Credits")
    assert row["ServiceCategory"] == "AI and Machine Learning"
    assert row["ServiceSubcategory"] == "Generative AI"
    costs = ("BilledCost", "ContractedCost", "EffectiveCost", "ListCost")
    numbers = (*costs, *(name for name in row if re.search("UnitPrice|Quantity|EffectiveC", name)))
    assert all(NUMBER.fullmatch(row[name]) for name in numbers)
    [cost] = {row[name] for name in costs}
    quantity = Decimal(row["PricingQuantity"])
    assert Decimal(cost) == Decimal(row["ListUnitPrice"]) * quantity
    unit_price = Decimal(row["PricingCurrencyListUnitPrice"])
    assert Decimal(row["PricingCurrencyEffectiveCost"]) == unit_price * quantity
    moments = {name: row[name] for name in row if "Period" in name}
    assert all(MOMENT.fullmatch(moment) for moment in moments.values())
    at = {name: datetime.fromisoformat(moment) for name, moment in moments.items()}
    assert at["BillingPeriodStart"] <= at["ChargePeriodStart"] < at["ChargePeriodEnd"]
    assert at["ChargePeriodEnd"] <= at["BillingPeriodEnd"]
    assert at["BillingPeriodStart"].day == at["BillingPeriodEnd"].day == 1
    assert query.period.begin <= at["ChargePeriodStart"]
    assert at["ChargePeriodEnd"] <= query.period.end
    if row["Tags"]:
        assert all(isinstance(value, str) for value in json.loads(row["Tags"]).values())


def test_the_columns_are_those_of_focus_in_their_order() -> None:
    standard = [name for name in COLUMNS if not name.startswith("x_")]
    custom = [name for name in COLUMNS if name.startswith("x_")]
    assert MANDATORY.keys() <= set(standard)
    assert (standard, custom) == (sorted(standard), sorted(custom))
    assert list(COLUMNS) == standard + custom
    assert NULLABLE.isdisjoint(name for name, may_be_null in MANDATORY.items() if not may_be_null)


ASKED: tuple[dict[str, Any], ...] = (
    {},
    {"group_by": "hour"},
    {"group_by": "day,tag:team"},
    {"group_by": "day,account"},
    {"tags": {"team": "b"}},
    {"begin": f"{NOW - timedelta(days=40):%Y-%m-%dT%H}:00:00Z"},
    {"begin": f"{NOW - timedelta(days=20):%Y-%m-%d}", "key": "team/alice-1", "model": "glm"},
)


@pytest.mark.parametrize("seed", [1, 2])
def test_totals_are_the_ledger_s_for_any_history(books: Books, seed: int) -> None:
    book_some(books, random.Random(seed), 50)
    for asked in ASKED:
        query = read_query(NOW, **{**asked, "group_by": focus_groups(asked.get("group_by"))})
        check_focus(query)
        lines, reader = read(books, query, rows_at_once=30)
        rows = rows_of(query, lines)
        for row in rows:
            judge(row, query)
        sums = reader.total
        if not {"key", "account"} & asked.keys() and asked.get("group_by") != "day,account":
            ledger = expected(books, query).values()
            assert sums.charged == sum(each[2] for each in ledger)
            assert sums.refunded == sum(each[3] for each in ledger)
        total = sum(Decimal(row["PricingCurrencyEffectiveCost"]) for row in rows)
        assert total == sums.charged - sums.refunded
        assert sum(Decimal(row["BilledCost"]) for row in rows) == total * PRICE.price
        requests = sum(Decimal(row["ConsumedQuantity"]) for row in rows)
        assert requests == sums.requests - sums.failed
        assert sum(int(row["x_InputTokens"]) for row in rows) == sums.input_tokens
        if asked.get("group_by") == "day,tag:team":
            assert {row["Tags"] for row in rows} == {"", '{"team":"a"}', '{"team":"b"}'}
        if "tags" in asked:
            assert {row["Tags"] for row in rows} == {'{"team":"b"}'}


def test_texts_of_clients_stay_in_their_cells() -> None:
    query = read_query(NOW, group_by=focus_groups("day,tag:team"))
    line = UsageLine(
        f"{NOW - timedelta(days=2):%Y-%m-%d}", None, None, "team/=key", "key_1", '=cmd|"a"', "chat",
        '",\r\n=1+1', UsageSums(requests=1, charged=10**15),
    )  # fmt: skip
    [row] = rows_of(query, [line])
    judge(row, query)
    assert row["SkuId"] == '\'=cmd|"a"', "no formula for a spreadsheet"
    assert json.loads(row["Tags"]) == {"team": '",\r\n=1+1'}
    assert row["BilledCost"] == "300000000000.0000"
    assert [cell(f"{sign}1") for sign in "=\uff1d"] == ["'=1", "'\uff1d1"]


def test_each_namespace_is_a_part_of_the_bill() -> None:
    query = read_query(NOW, group_by=focus_groups("day,namespace"))
    day, sums = f"{NOW - timedelta(days=2):%Y-%m-%d}", UsageSums(requests=1, charged=1)
    lines = [
        UsageLine(day, namespace, None, "team/key", "key_1", "glm", "chat", None, sums)
        for namespace in ("a", "b")
    ]
    rows = rows_for(AccountSet(frozenset({"a", "b"})), query, lines)
    parts = [(row["SubAccountId"], row["SubAccountType"], row["BillingAccountId"]) for row in rows]
    assert parts == [("a", "Namespace", "a,b"), ("b", "Namespace", "a,b")]


def test_money_is_exact_and_never_below_zero_by_nothing() -> None:
    price = read_credit_price("JPY", "999999999.999999999999")
    assert f"{price.of(10**18 - 1):f}" == "999999999999999998999000000.000000000001"
    assert f"{read_credit_price('JPY', '0').of(-5):f}" == "0.0"
    assert f"{read_credit_price('JPY', '0.000000000001').of(3):f}" == "0.000000000003"


@pytest.mark.parametrize(
    ("given", "parameter"),
    [
        ((None, "1"), "currency"),
        (("eur", "1"), "currency"),
        (("EURO", "1"), "currency"),
        (("EUR", None), "credit_price"),
        (("EUR", "-1"), "credit_price"),
        (("EUR", "1e3"), "credit_price"),
        (("EUR", "NaN"), "credit_price"),
        (("EUR", "٣"), "credit_price"),
        (("EUR", "1" * 10), "credit_price"),
        (("EUR", "0." + "1" * 13), "credit_price"),
    ],
)
def test_a_price_that_makes_no_sense(given: tuple[str | None, ...], parameter: str) -> None:
    with pytest.raises(PeriodError) as refused:
        read_credit_price(*given)
    assert refused.value.parameter == parameter


def test_a_charge_row_needs_a_charge_period_of_utc() -> None:
    for group_by, zone, parameter in (
        ("account", "UTC", "group_by"),
        (None, "Europe/Berlin", "timezone"),
    ):
        with pytest.raises(PeriodError) as refused:
            check_focus(read_query(NOW, group_by=focus_groups(group_by), zone=zone))
        assert refused.value.parameter == parameter
