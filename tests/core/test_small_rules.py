"""Limits, patterns, seals and spec values: small and pure."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.limits import Concurrency, RateLimit
from gateway.core.patterns import matches
from gateway.core.seal import Sealer
from gateway.core.spec import API_VERSION, SpecError, overlap_seconds, parse_document
from gateway.settings import Settings, SettingsError, read_settings


def test_a_rate_refills_steadily_and_says_how_long_to_wait() -> None:
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


def test_concurrency_counts_in_and_out() -> None:
    running = Concurrency()
    assert running.enter(1)
    assert not running.enter(1)
    running.leave()
    assert running.enter(1)
    assert running.enter(None)


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


@pytest.mark.parametrize(
    ("kind", "spec", "problem"),
    [
        ("ApiKey", {"account": "a"}, "exactly one of secretName and valueFrom"),
        ("ApiKey", {"account": "Not-a-label", "secretName": "s"}, r"\$\.spec\.account"),
        ("CreditGrant", {"account": "a", "credits": 0}, r"\$\.spec\.credits"),
        ("CreditGrant", {"account": "a", "credits": 1.5}, r"\$\.spec\.credits"),
        ("GatewayFleet", {"models": [], "upstreams": []}, r"\$\.spec\.models"),
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


def test_settings_are_typed_and_unknown_ones_refused() -> None:
    read = read_settings({"TOLLGATE_LEASE_SECONDS": "2.5", "HOME": "/nowhere"})
    assert read == Settings(lease_seconds=2.5)
    with pytest.raises(SettingsError, match="TOLLGATE_LEASE_SECOND"):
        read_settings({"TOLLGATE_LEASE_SECOND": "2"})
    with pytest.raises(SettingsError, match="lease_seconds"):
        read_settings({"TOLLGATE_LEASE_SECONDS": "soon"})
