"""Prices: the most that a request can cost before it is sent, and its price once it has ended.

    most ── charged ──▶ … ──▶ price, never above the charge; the difference is refunded

Pure. A model without token prices has one price, known before. Credits are integers, and are
rounded up once a request.
"""

from collections.abc import Iterator
from datetime import UTC, datetime

from msgspec import Struct, field

from gateway.core.credits import BALANCE_MAX
from gateway.core.events import Usage
from gateway.core.spec import Pricing, TokenPrices
from gateway.core.spec_fields import SpecError

_MILLION = 1_000_000


class Rates(Struct, frozen=True):
    """Credits for a million tokens of each kind, and for an image.

    `cache_write_hour` is for what is written to a cache for an hour. They hold from `since` on, for
    prompts of more than `above` tokens.
    """

    input: int = 0
    cached: int = 0
    cache_write: int = 0
    output: int = 0
    image: int = 0
    since: datetime | None = None
    above: int = 0
    cache_write_hour: int = 0

    def holds(self, now: datetime, prompt_tokens: int) -> bool:
        return (self.since is None or self.since <= now) and (
            self.above == 0 or prompt_tokens > self.above
        )


class Price(Struct, frozen=True):
    """The price list of one model: `message`, and `surcharge` more when it reasons.

    `rates` are its token prices, of which the last that holds counts; none where it has none.
    """

    message: int
    surcharge: int
    rates: tuple[Rates, ...] = ()

    def of(self, reasoning: bool, choices: int) -> int:
        """The part of the price that is known before the request is sent."""
        message = self.message + self.surcharge if reasoning else self.message
        return message * choices


class Bill(Struct, frozen=True, omit_defaults=True):
    """The parts of a price with tokens: `credits` is their sum, and `uncollected` what of it is
    above the charge.

    `per_million` are credits before they are rounded. `from_` and `above_prompt_tokens` name the
    row that held. `counted`: the upstream reported no usage, so the text was counted here.
    """

    credits: int
    messages: int
    images: int
    input_per_million: int
    cached_per_million: int
    cache_write_per_million: int
    output_per_million: int
    cache_write_hour_per_million: int = 0
    uncollected: int = 0
    from_: datetime | None = field(default=None, name="from")
    above_prompt_tokens: int = 0
    counted: bool = False


class Terms(Struct, frozen=True, kw_only=True):
    """The price of one request as it was when it was charged: a later change does not count."""

    rates: tuple[Rates, ...]
    now: datetime
    #: credits that are known before
    messages: int = 0
    #: images in the prompt
    images: int = 0

    def most(self, input_tokens: int, output_tokens: int) -> int:
        """The most that the request can cost, by bounds of its tokens."""
        return min(BALANCE_MAX, max(self._mosts(input_tokens, output_tokens)))

    def _mosts(self, input_tokens: int, output_tokens: int) -> Iterator[int]:
        # A prompt may be smaller than its bound: rows for smaller ones may come to hold, too.
        for rates in reversed(self.rates):
            if rates.holds(self.now, input_tokens):
                highest = max(rates.input, rates.cached, rates.cache_write, rates.cache_write_hour)
                tokens = input_tokens * highest + output_tokens * rates.output
                yield self.messages + self.images * rates.image + _rounded_up(tokens)
                if rates.above == 0:
                    return

    def bill(self, usage: Usage, charged: int, *, counted: bool = False) -> Bill:
        """The price by what was used, at most what was `charged`."""
        rates = next(rates for rates in reversed(self.rates) if rates.holds(self.now, usage.input))
        cached = min(usage.cached, usage.input)
        cache_write = min(usage.cache_write, usage.input - cached)
        hour = min(usage.cache_write_hour, cache_write)
        parts = (
            (usage.input - cached - cache_write) * rates.input,
            cached * rates.cached,
            (cache_write - hour) * rates.cache_write,
            usage.output * rates.output,
            hour * rates.cache_write_hour,
        )
        images = self.images * rates.image
        price = self.messages + images + _rounded_up(sum(parts))
        return Bill(
            min(price, charged),
            self.messages,
            images,
            *parts,
            uncollected=max(0, price - charged),
            from_=rates.since,
            above_prompt_tokens=rates.above,
            counted=counted,
        )


def read_price(model: str, own: Pricing, shared: Pricing, output_max: int | None) -> Price:
    """The prices of a model: its own, or else the fleet's. Raises `SpecError` without any."""
    base, rows = _over(own, shared), own.rows or shared.rows
    rates = (_rates(base), *(_rates(_over(row, base), row.since, row.above_prompt_tokens or 0)
                             for row in rows))  # fmt: skip
    has_token_prices = bool(rows) or base != TokenPrices()
    message = _first(own.chat_credits_per_message, shared.chat_credits_per_message)
    if message is None and base.input_credits_per_million_tokens is None:
        raise SpecError(
            f"model {model!r} has no price: set pricing.chatCreditsPerMessage or"
            " pricing.inputCreditsPerMillionTokens"
        )
    if output_max is None and base.output_credits_per_million_tokens is not None:
        raise SpecError(f"model {model!r} has a price for its output, and needs maxOutputTokens")
    surcharge = _first(
        own.chat_credits_reasoning_surcharge, shared.chat_credits_reasoning_surcharge
    )
    return Price(message or 0, surcharge or 0, rates if has_token_prices else ())


def _over(own: TokenPrices, shared: TokenPrices) -> TokenPrices:
    """The token prices, where those that are unset are as those that are shared."""
    names = TokenPrices.__struct_fields__
    return TokenPrices(
        **{name: _first(getattr(own, name), getattr(shared, name)) for name in names}
    )


def _rates(prices: TokenPrices, since: datetime | None = None, above: int = 0) -> Rates:
    given = prices.input_credits_per_million_tokens or 0
    cached = prices.cached_input_credits_per_million_tokens
    written = prices.cache_write_credits_per_million_tokens
    written = given if written is None else written
    hour = prices.cache_write_hour_credits_per_million_tokens
    return Rates(
        input=given,
        cached=given if cached is None else cached,
        cache_write=written,
        output=prices.output_credits_per_million_tokens or 0,
        image=prices.per_image or 0,
        since=since and since.astimezone(UTC),
        above=above,
        cache_write_hour=written if hour is None else hour,
    )


def _first(own: int | None, shared: int | None) -> int | None:
    return shared if own is None else own


def _rounded_up(millionths: int) -> int:
    return -(-millionths // _MILLION)
