"""Series: which there are, when they go, and how many there may be."""

from prometheus_client.parser import text_string_to_metric_families

from gateway.core.events import Usage
from gateway.telemetry.metric_families import COUNTERS, GAUGES, HISTOGRAMS
from gateway.telemetry.metrics import Metrics, RequestLabels

ALICE = RequestLabels("team/alice-key", "team/alice", "kimi-k2.5")
BOB = RequestLabels("team/bob-key", "team/bob", "kimi-k2.5")


Labels = frozenset[tuple[str, str]]


def of(**labels: str) -> Labels:
    return frozenset(labels.items())


def requests_of(key: str, account: str, model: str = "kimi-k2.5") -> Labels:
    return of(key=key, account=account, model=model, route="chat", code="200")


def samples(metrics: Metrics, name: str) -> dict[Labels, float]:
    """The values of one sample name, by its labels."""
    text = metrics.exposition().decode()
    return {
        of(**sample.labels): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == name
    }


def use(metrics: Metrics, labels: RequestLabels) -> None:
    series = metrics.series(labels, "chat")
    series.charge.value += 3
    series.used(Usage(4, 3, 2, 1))
    metrics.answered(labels, "chat", 200).value += 1


def test_a_request_is_counted_for_its_key_account_and_model() -> None:
    metrics = Metrics()
    metrics.know([ALICE.key])
    use(metrics, ALICE)
    names = {"key": ALICE.key, "account": ALICE.account, "model": ALICE.model}
    assert samples(metrics, "faregate_requests_total") == {requests_of(ALICE.key, ALICE.account): 1}
    assert samples(metrics, "faregate_credits_total")[of(**names, kind="charge")] == 3
    assert samples(metrics, "faregate_tokens_total")[of(**names, direction="input")] == 4


def test_series_go_with_their_key_and_only_they() -> None:
    metrics = Metrics()
    metrics.know([ALICE.key, BOB.key])
    use(metrics, ALICE)
    use(metrics, BOB)
    before = samples(metrics, "faregate_series")[of()]
    metrics.forget({ALICE.key})
    text = metrics.exposition().decode()
    assert ALICE.key not in text
    assert ALICE.account not in text
    assert samples(metrics, "faregate_requests_total") == {requests_of(BOB.key, BOB.account): 1}
    assert samples(metrics, "faregate_series")[of()] < before


def test_a_request_that_outlives_its_key_does_not_bring_its_series_back() -> None:
    metrics = Metrics()
    metrics.know([ALICE.key])
    under_way = metrics.series(ALICE, "chat")
    metrics.forget({ALICE.key})
    under_way.used(Usage(1, 1))
    use(metrics, ALICE)
    assert ALICE.key not in metrics.exposition().decode()
    assert samples(metrics, "faregate_requests_total") == {requests_of("other", "other"): 1}


def test_a_key_that_comes_back_counts_again() -> None:
    metrics = Metrics()
    metrics.know([ALICE.key])
    metrics.forget({ALICE.key})
    use(metrics, ALICE)
    assert ALICE.key not in metrics.exposition().decode(), "it is counted as `other`"
    metrics.know([ALICE.key])
    use(metrics, ALICE)
    assert samples(metrics, "faregate_requests_total") == {
        requests_of("other", "other"): 1,
        requests_of(ALICE.key, ALICE.account): 1,
    }


def test_a_full_replica_folds_the_rest_and_loses_nothing() -> None:
    metrics = Metrics(series_max=200)
    keys = [RequestLabels(f"team/key-{n}", f"team/account-{n}", "kimi-k2.5") for n in range(500)]
    metrics.know(labels.key for labels in keys)
    for labels in keys:
        use(metrics, labels)
        use(metrics, labels)
    requests = samples(metrics, "faregate_requests_total")
    assert sum(requests.values()) == 1000
    assert requests[requests_of("other", "other", "other")] > 900
    assert samples(metrics, "faregate_series")[of()] <= 200
    assert samples(metrics, "faregate_folded_total")[of()] > 0
    assert sum(samples(metrics, "faregate_credits_total").values()) == 3000
    fixed = metrics.exposition().count(b"\n")
    more = [RequestLabels(f"team/more-{n}", f"team/more-{n}", "kimi-k2.5") for n in range(500)]
    metrics.know(labels.key for labels in more)
    for labels in more:
        use(metrics, labels)
    assert metrics.exposition().count(b"\n") == fixed


def test_keys_of_one_namespace_leave_room_for_another_s() -> None:
    """However many keys it makes and uses, what others use is reported by its key."""
    metrics = Metrics(series_max=200)
    keys = [RequestLabels(f"team/key-{n}", f"team/account-{n}", "kimi-k2.5") for n in range(500)]
    metrics.know([*(labels.key for labels in keys), "other-team/carol-key"])
    for labels in keys:
        use(metrics, labels)
    carol = RequestLabels("other-team/carol-key", "other-team/carol", "kimi-k2.5")
    use(metrics, carol)
    assert samples(metrics, "faregate_requests_total")[requests_of(carol.key, carol.account)] == 1
    metrics.forget({labels.key for labels in keys})
    again = RequestLabels("team/again", "team/again", "kimi-k2.5")
    metrics.know([again.key])
    use(metrics, again)
    assert again.key in metrics.exposition().decode(), "what went with its key is free again"


def test_room_that_a_key_leaves_is_anothers() -> None:
    metrics = Metrics(series_max=100)
    for number in range(200):
        labels = RequestLabels(f"team/key-{number}", "team/alice", "kimi-k2.5")
        metrics.know([labels.key])
        use(metrics, labels)
        assert labels.key in metrics.exposition().decode()
        metrics.forget({labels.key})
    assert samples(metrics, "faregate_folded_total")[of()] == 0


def test_what_belongs_to_no_request_is_there_from_the_start() -> None:
    """A rate never sees the first addition to a series that was not there."""
    metrics = Metrics()
    metrics.upstream("moonshot")
    text = metrics.exposition().decode()
    for name, (_, labels, *_) in {**COUNTERS, **GAUGES, **HISTOGRAMS}.items():
        if set(labels) <= {"upstream", "stage", "version"}:
            assert f"\nfaregate_{name}" in text, name
    assert samples(metrics, "faregate_upstream_circuit_open") == {of(upstream="moonshot"): 0}
    assert samples(metrics, "faregate_revocation_propagation_seconds_count") == {
        of(stage="known"): 0
    }
