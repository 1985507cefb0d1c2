"""Limits, patterns, seals and spec values: small and pure."""

import re
import time
from datetime import date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.catalog import Catalog
from gateway.core.errors import ModelNotFound
from gateway.core.limits import RateLimit, RefusalThrottle, Window
from gateway.core.patterns import matches
from gateway.core.request import Request
from gateway.core.seal import Sealer
from gateway.core.spec import API_VERSION, GatewayFleetSpec, overlap_seconds, parse_document
from gateway.core.spec_fields import SpecError
from gateway.process.settings import Settings, SettingsError, read_settings


def test_a_rate_refills_steadily_and_states_how_long_to_wait() -> None:
    limit = RateLimit(60, now=0.0)
    assert [limit.admit(0.0) for _ in range(60)] == [0.0] * 60
    assert limit.admit(0.0) == pytest.approx(1.0)
    assert limit.admit(0.5) == pytest.approx(0.5)
    assert limit.admit(1.0) == 0.0
    assert limit.admit(1000.0) == 0.0


@given(st.integers(1, 600), st.lists(st.floats(0, 30), max_size=200))
def test_no_minute_admits_more_than_twice_the_rate(per_minute: int, pauses: list[float]) -> None:
    """A full bucket and a minute's refill are the most that any minute can see."""
    limit, now, admitted = RateLimit(per_minute, 0.0), 0.0, []
    for pause in pauses:
        now += pause
        if limit.admit(now) == 0.0:
            admitted.append(now)
    for start in admitted:
        within = [moment for moment in admitted if start <= moment < start + 60]
        assert len(within) <= 2 * per_minute


def test_refusals_of_one_account_are_slowed_down_and_nobody_else_s() -> None:
    throttle = RefusalThrottle()
    pauses = [throttle.pause("team/alice", 7.0 + n / 1000) for n in range(600)]
    assert pauses.count(0.0) == RefusalThrottle.AT_ONCE
    assert pauses.count(RefusalThrottle.PAUSE_SECONDS) == 600 - RefusalThrottle.AT_ONCE
    assert throttle.pause("team/bob", 7.7) == 0.0
    assert throttle.pause("", 7.7) == 0.0
    assert throttle.pause("team/alice", 8.0) == 0.0
    assert len(throttle._refused) == 1, "what is over is forgotten"


def test_any_stretch_has_so_many_admissions_and_no_more() -> None:
    window = Window(50, 1.0)
    admitted = [now / 100 for now in range(1000) if window.admit(now / 100)]
    for start in admitted:
        assert len([moment for moment in admitted if start <= moment < start + 1]) <= 50
    assert len(admitted) == 500


@pytest.mark.parametrize(
    ("pattern", "name", "fits"),
    [
        ("kimi-*", "kimi-k2.5", True),
        ("*", "", True),
        ("kimi", "kimi-k2.5", False),
        ("a.b", "axb", False),
        ("*-k2*", "kimi-k2.5", True),
        ("[a]", "a", False),
    ],
)
def test_only_a_star_is_a_wildcard(pattern: str, name: str, fits: bool) -> None:
    assert matches(pattern, name) is fits


@given(st.text("ab*", max_size=8), st.text("ab", max_size=12))
def test_a_pattern_means_what_its_expression_means(pattern: str, name: str) -> None:
    expression = ".*".join(map(re.escape, pattern.split("*")))
    assert matches(pattern, name) is bool(re.fullmatch(expression, name))


@pytest.mark.parametrize(
    "pattern", ["*" * 250 + "x", "*a" * 125 + "*x", "*aaaaaaaaab" * 20 + "*", "a*" * 100 + "bb*a"]
)
def test_no_pattern_takes_longer_than_its_length(pattern: str) -> None:
    """Twice the name is twice the work, where going back would not end within the test."""

    def seconds(characters: int) -> float:
        name = "a" * characters
        began = time.thread_time()
        for _ in range(5):
            assert not matches(pattern, name)
        return time.thread_time() - began

    once, twice = seconds(200_000), seconds(400_000)
    assert twice < 0.5
    assert twice < 3 * once + 0.01


def test_a_name_that_is_longer_than_any_models_is_none() -> None:
    spec = parse_document(
        {
            "apiVersion": API_VERSION,
            "kind": "GatewayFleet",
            "metadata": {"name": "x"},
            "spec": {
                "pricing": {"chatCreditsPerMessage": 1, "chatCreditsReasoningSurcharge": 0},
                "upstreams": [{"name": "up", "url": "simulated:"}],
                "models": [{"id": "m", "aliases": ["m*"], "upstream": "up"}],
            },
        }
    ).spec
    assert isinstance(spec, GatewayFleetSpec)
    catalog = Catalog(spec)
    assert catalog.resolve(Request("m" * 256, messages=())).model.id == "m"
    with pytest.raises(ModelNotFound):
        catalog.resolve(Request("m" * 257, messages=()))


@given(st.binary(max_size=200), st.text(max_size=60))
def test_a_seal_opens_for_its_account_only(plain: bytes, noise: str) -> None:
    sealer = Sealer(b"k" * 32)
    sealed = sealer.seal(1, plain)
    assert sealer.open(1, sealed) == plain
    assert sealer.open(2, sealed) is None
    assert Sealer(b"o" * 32).open(1, sealed) is None
    assert sealer.open(1, noise) is None
    assert sealer.open(1, sealed[:-2]) is None


@pytest.mark.parametrize(
    ("text", "seconds"), [("0s", 0), ("90s", 90), ("10m", 600), ("24h", 86400), ("7d", 604800)]
)
def test_an_overlap_is_seconds(text: str, seconds: int) -> None:
    assert overlap_seconds(text) == seconds


#: in UTC, years that there are not
AFTER, BEFORE = "9999-12-31T23:59:59-12:00", "0001-01-01T00:00:00+14:00"

BROKEN = "http://[1:2]/v1"


@pytest.mark.parametrize(
    ("kind", "spec", "problem"),
    [
        ("ApiKey", {"account": "a"}, "exactly one of secretName and valueFrom"),
        ("ApiKey", {"account": "Not-a-label", "secretName": "s"}, r"\$\.spec\.account"),
        ("CreditGrant", {"account": "a", "credits": 0}, r"\$\.spec\.credits"),
        ("CreditGrant", {"account": "a", "credits": 1.5}, r"\$\.spec\.credits"),
        ("GatewayFleet", {"models": [], "upstreams": []}, r"\$\.spec\.models"),
        ("ApiKey", {"account": "a\n", "secretName": "s"}, r"\$\.spec\.account"),
        ("ApiKey", {"account": "a", "secretName": "s", "models": ["m\0"]}, "models may hold"),
        ("ApiKey", {"account": "a", "secretName": "s", "expiresAt": AFTER}, "expiresAt must lie"),
        ("ApiKey", {"account": "a", "secretName": "s", "expiresAt": BEFORE}, "expiresAt must lie"),
        ("CreditGrant", {"account": "a", "credits": 1, "expiresAt": AFTER}, "expiresAt must lie"),
        *(
            (
                "CreditGrant",
                {"account": "a", "credits": 1, "expiresAt": moment},
                r"Expected a time with its zone, such as \S+Z\W.*`\$\.spec\.expiresAt`$",
            )
            for moment in (date(2026, 12, 1), "2026-12-01", datetime(2026, 12, 1), 2026)
        ),
        ("CreditGrant", {"account": "a", "credits": 1, "reason": "\ud800"}, "reason may hold"),
        ("CreditGrant", {"account": "a", "credits": 1, "reference": "a\0"}, "reference may hold"),
        (
            "GatewayFleet",
            {"models": [{"id": "m", "upstream": "u"}], "upstreams": [{"name": "u", "url": BROKEN}]},
            r"url has 1:2; write an IPv6 address .* `\$\.spec\.upstreams\[0\]`",
        ),
        (
            "GatewayFleet",
            {"models": [{"id": "m", "upstream": "u"}], "upstreams": [{"name": "u", "url": "a:b"}]},
            r"x: Expected a URL such as https://api.* `\$\.spec\.upstreams\[0\]\.url`$",
        ),
        ("Other", {}, "Other"),
    ],
)
def test_a_wrong_spec_names_its_field(kind: str, spec: dict[str, object], problem: str) -> None:
    document = {
        "apiVersion": API_VERSION,
        "kind": kind,
        "metadata": {"name": "x", "namespace": "team"},
        "spec": spec,
    }
    with pytest.raises(SpecError, match=problem):
        parse_document(document)


@pytest.mark.parametrize(
    "metadata",
    [{"name": "a/b"}, {"name": "n" * 64}, {"name": "x\n"}, {"name": "x", "namespace": "../up"}],
)
def test_an_object_has_a_name_that_a_cluster_would_take(metadata: dict[str, str]) -> None:
    spec = {"account": "a", "secretName": "s"}
    document = {"apiVersion": API_VERSION, "kind": "ApiKey", "metadata": metadata, "spec": spec}
    with pytest.raises(SpecError, match="name"):
        parse_document(document)


def test_settings_are_typed_and_unknown_ones_refused() -> None:
    short = {"FAREGATE_LEASE_SECONDS": "2.5", "FAREGATE_HEARTBEAT_SECONDS": "1"}
    read = read_settings({**short, "HOME": "/nowhere"})
    assert read == Settings(lease_seconds=2.5, heartbeat_seconds=1)
    for around in ("", "\n", "\r\n", " \ufeff"):
        given = {"FAREGATE_DATABASE_URL": f"{around}postgresql://db/faregate{around}"}
        assert read_settings(given).database_url == "postgresql://db/faregate"
    assert read_settings({"FAREGATE_DATABASE_URL": "\n"}).database_url, "no SQLite by mistake"
    for name, value, sentence in (
        ("LEASE_SECOND", "2", "there is no setting {}; do you mean FAREGATE_LEASE_SECONDS?"),
        ("LEASE_SECONDS", "soon", "{} is soon: expected a number"),
        ("CONNECTIONS", "0", "{} is 0: expected a whole number >= 1"),
        ("LOG_FORMAT", "xml", "{} is xml: expected auto or json or text"),
    ):
        with pytest.raises(SettingsError) as refused:
            read_settings({f"FAREGATE_{name}": value})
        assert str(refused.value) == sentence.format(f"FAREGATE_{name}")
    with pytest.raises(SettingsError, match="two heartbeats"):
        read_settings({"FAREGATE_LEASE_SECONDS": "9"})
