"""Token prices: the formula, the row that counts, and the most, which no usage goes beyond."""

from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from gateway.core.catalog import Catalog
from gateway.core.credits import BALANCE_MAX
from gateway.core.events import Usage
from gateway.core.prices import Price, Rates, Terms, read_price
from gateway.core.request import Request, Sampling
from gateway.core.spec import GatewayFleetSpec, ModelSpec, PriceRow, Pricing, UpstreamSpec
from gateway.core.spec_fields import SpecError

NOW = datetime(2026, 11, 28, tzinfo=UTC)
LATER = NOW + timedelta(days=1)


def terms(*rates: Rates, messages: int = 0, images: int = 0) -> Terms:
    return Terms(rates=rates, now=NOW, messages=messages, images=images)


def test_the_price_is_the_sum_of_its_parts_rounded_up_once() -> None:
    rates = Rates(input=1_000, cached=100, cache_write=1_250, output=5_000, image=7)
    usage = Usage(input=1_000, cached=300, cache_write=200, output=90, reasoning=40)

    bill = terms(rates, messages=3, images=2).bill(usage, 1_000)

    # 500 × 1,000 + 300 × 100 + 200 × 1,250 + 90 × 5,000 = 1,230,000 millionths
    assert bill.credits == 3 + 2 * 7 + 2
    assert (bill.input_per_million, bill.cached_per_million) == (500_000, 30_000)
    assert (bill.cache_write_per_million, bill.output_per_million) == (250_000, 450_000)
    assert bill.uncollected == 0


def test_what_is_written_for_an_hour_has_its_own_price() -> None:
    rates = Rates(input=10**6, cache_write=2 * 10**6, cache_write_hour=3 * 10**6)
    usage = Usage(input=10, cache_write=7, cache_write_hour=4)

    assert terms(rates).bill(usage, 100).credits == 3 + 3 * 2 + 4 * 3
    assert terms(rates).most(10, 0) == 30
    assert terms(rates).bill(Usage(input=2, cached=1, cache_write_hour=9), 100).credits == 1


def test_a_price_above_the_charge_is_not_collected() -> None:
    bill = terms(Rates(output=1_000_000)).bill(Usage(output=12), 10)

    assert (bill.credits, bill.uncollected) == (10, 2)


@pytest.mark.parametrize(
    ("tokens", "credits", "above"), [(100, 100, 0), (101, 202, 100), (500, 1_500, 400)]
)
def test_the_last_row_that_holds_counts(tokens: int, credits: int, above: int) -> None:
    million = 1_000_000
    rows = (
        Rates(input=million),
        Rates(input=2 * million, above=100),
        Rates(input=9 * million, since=LATER),
        Rates(input=3 * million, above=400),
    )
    bill = terms(*rows).bill(Usage(input=tokens), 10_000)

    assert (bill.credits, bill.above_prompt_tokens) == (credits, above)


def test_a_row_holds_from_its_moment_on() -> None:
    rows = (Rates(input=10**6), Rates(input=5 * 10**6, since=NOW))

    assert terms(*rows).bill(Usage(input=2), 100).credits == 10
    assert terms(*rows).most(2, 0) == 10
    before = Terms(rates=rows, now=NOW - timedelta(seconds=1))
    assert before.bill(Usage(input=2), 100).credits == 2
    shown = msgspec.json.decode(msgspec.json.encode(terms(*rows).bill(Usage(input=2), 100)))
    assert shown["from"] == msgspec.to_builtins(NOW)


def test_the_most_counts_each_row_that_may_come_to_hold() -> None:
    rows = (Rates(input=10**6), Rates(input=10**5, above=50))

    assert terms(*rows).most(60, 0) == 60
    assert terms(*rows).most(60, 0) >= terms(*rows).bill(Usage(input=50), 60).credits == 50


def test_more_than_a_balance_can_hold_is_never_charged() -> None:
    assert terms(Rates(output=10**15)).most(0, 10**9 * 128) == BALANCE_MAX


rate = st.integers(0, 10**9)
row = st.builds(
    Rates,
    input=rate,
    cached=rate,
    cache_write=rate,
    cache_write_hour=rate,
    output=rate,
    image=st.integers(0, 100),
    since=st.sampled_from([None, NOW, LATER]),
    above=st.sampled_from([0, 10, 200, 5_000]),
)


@given(
    first=row,
    others=st.lists(row, max_size=4),
    messages=st.integers(0, 100),
    images=st.integers(0, 3),
    prompt=st.integers(0, 10_000),
    shares=st.tuples(*[st.integers(0, 10_000)] * 3),
    answer=st.integers(0, 10_000),
    spare=st.tuples(st.integers(0, 10_000), st.integers(0, 10_000)),
)
def test_no_usage_within_its_bounds_costs_more_than_the_most(
    first: Rates,
    others: list[Rates],
    messages: int,
    images: int,
    prompt: int,
    shares: tuple[int, int, int],
    answer: int,
    spare: tuple[int, int],
) -> None:
    base = replace(first, since=None, above=0)
    price = terms(base, *others, messages=messages, images=images)
    most = price.most(prompt + spare[0], answer + spare[1])

    bill = price.bill(
        Usage(
            input=prompt,
            cached=shares[0],
            cache_write=shares[1],
            cache_write_hour=shares[2],
            output=answer,
        ),
        most,
    )

    parts = bill.input_per_million + bill.cached_per_million
    parts += bill.cache_write_per_million + bill.cache_write_hour_per_million
    parts += bill.output_per_million
    assert bill.uncollected == 0
    assert bill.credits == bill.messages + bill.images + -(-parts // 10**6) <= most


def test_what_a_model_leaves_unset_is_the_fleet_s_and_caches_cost_as_input() -> None:
    shared = Pricing(
        chat_credits_per_message=2,
        input_credits_per_million_tokens=10,
        output_credits_per_million_tokens=50,
        rows=[PriceRow(above_prompt_tokens=9, input_credits_per_million_tokens=20)],
    )
    own = Pricing(input_credits_per_million_tokens=30, cache_write_credits_per_million_tokens=40)

    assert read_price("a", own, shared, 100) == Price(
        2,
        0,
        (
            Rates(30, 30, 40, 50, cache_write_hour=40),
            Rates(20, 20, 40, 50, above=9, cache_write_hour=40),
        ),
    )
    hour = Pricing(cache_write_hour_credits_per_million_tokens=60)
    assert read_price("a", hour, shared, 100).rates[0] == Rates(10, 10, 10, 50, cache_write_hour=60)
    assert read_price("a", Pricing(chat_credits_per_message=0), Pricing(), None) == Price(0, 0)


def test_a_price_is_needed_and_one_for_output_needs_a_cap() -> None:
    with pytest.raises(SpecError, match="has no price"):
        read_price("a", Pricing(output_credits_per_million_tokens=1), Pricing(), 5)
    with pytest.raises(SpecError, match="needs maxOutputTokens"):
        prices = Pricing(chat_credits_per_message=1, output_credits_per_million_tokens=1)
        read_price("a", prices, Pricing(), None)
    with pytest.raises(ValueError, match="outside the rows"):
        Pricing(rows=[PriceRow(output_credits_per_million_tokens=1)])


def test_choices_multiply() -> None:
    fleet = GatewayFleetSpec(
        pricing=Pricing(chat_credits_per_message=2, chat_credits_reasoning_surcharge=3),
        upstreams=[UpstreamSpec(name="main", url="simulated:")],
        models=[ModelSpec(id="a", upstream="main")],
    )
    catalog = Catalog(fleet)

    assert catalog.resolve(Request("a", ())).price == 2
    assert catalog.resolve(Request("a", (), sampling=Sampling(n=8))).price == 16
