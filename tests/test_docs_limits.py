"""The figures of limits.md against those of the code, and the shares against what can be taken."""

import tracemalloc
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from gateway.console import mount, parties, refusals
from gateway.console.identity import attempt, issuer
from gateway.core import tags
from gateway.core.keys import PEPPER
from gateway.core.limits import RefusalThrottle
from gateway.core.shares import Holder, Shares, largest_share
from gateway.core.spec import FleetLimits
from gateway.dialects import values, vectors
from gateway.dialects.answer_reader import STREAM_BYTES_MAX
from gateway.dialects.embeddings import request_reader
from gateway.dialects.messages import betas
from gateway.dialects.responses.request_reader import REFERENCED_BYTES_MAX
from gateway.http import connection_admission, entrance, protocol
from gateway.http import reader as requests
from gateway.http.routes import database_reads, token_counting
from gateway.pipeline import key_cache
from gateway.pipeline.connection import BODY_RATE_MIN
from gateway.pipeline.documents import memory, reader
from gateway.process import listeners
from gateway.process.settings import Settings
from gateway.store import response_store, sign_ins, usage_sums
from gateway.store.cached_keys import LiveHash, LiveKey
from gateway.store.group_commit import GroupCommit
from gateway.telemetry import metrics
from gateway.upstream import admission
from tests.harness.pages import section, tables

FLEET = FleetLimits()
#: what is shared, by the words its row begins with
SHARED = {
    "bytes of request bodies": FLEET.buffered_bytes,
    "requests that wait for a place at one upstream": admission.WAITING_MAX,
    "requests to free routes that are worked on": entrance.AT_ONCE,
    "requests to free routes that wait": entrance.WAITING_MAX,
    "reads of the database": database_reads.WAITING_MAX,
    "token counts that wait": token_counting.WAITING_MAX,
    "token counts that upstreams are asked for": token_counting.ASKED_MAX,
    "documents that are read at once": reader.AT_ONCE,
    "documents that wait": reader.WAITING_MAX,
    "reads of stored responses": response_store.WAITING_MAX,
    "bytes of responses that wait to be stored": (
        response_store.LARGEST_WAITING_MAX * FLEET.response_bytes
    ),
    "series of metrics": metrics.SERIES_MAX,
    "characters of documents' texts": reader.REMEMBERED_MAX,
}
#: what one request may be, likewise
OF_A_REQUEST = {
    "bytes of a body": FLEET.body_bytes,
    "JSON values in a body": values.VALUES_MAX,
    "messages, or items": values.MESSAGES_MAX,
    "content parts of one message": values.PARTS_MAX,
    "tools, those of namespaces": values.TOOLS_MAX,
    "inputs of an embeddings request": request_reader.INPUTS_MAX,
    "characters, or token ids, of one of them": request_reader.INPUT_LENGTH_MAX,
    "`dimensions` of an embeddings request": request_reader.DIMENSIONS_MAX,
    "numbers of vectors": vectors.NUMBERS_MAX,
    "bytes of the stored items": REFERENCED_BYTES_MAX,
    "betas that a request": betas.ASKED_MAX,
    "PDFs in a request": reader.DOCUMENTS_MAX,
    "characters of the text of all PDFs": reader.TOTAL_CHARACTERS_MAX,
    "bytes of a streamed answer": STREAM_BYTES_MAX,
    "seconds until all of a body": FLEET.body_seconds,
    f"seconds in which less than {BODY_RATE_MIN} bytes": FLEET.body_silence_seconds,
}
OF_TAGS: dict[str, float] = {
    "tags of a request": tags.TAGS_MAX,
    "characters of a tag's name": tags.NAME_CHARACTERS_MAX,
    "characters of a tag's value": tags.VALUE_CHARACTERS_MAX,
    "characters of a value that usage": tags.VALUE_COUNTED_MAX,
    "names of an account": usage_sums.TAG_NAMES_MAX,
    "values of each name": usage_sums.TAG_VALUES_MAX,
}
#: what those can take who have no key
WITHOUT_A_KEY: dict[str, float] = {
    "connections on the port for clients": Settings().connections,
    "connections of one IPv4 address": Settings().connections_per_peer,
    "connections on the port for operations": connection_admission.OPERATIONS.connections,
    "seconds for a head": Settings().head_seconds,
    "seconds without a request": listeners.IDLE_SECONDS,
    "seconds in which nothing is read": Settings().unread_seconds,
    "bytes of answers that wait": protocol.UNREAD_BYTES_MAX,
    "seconds for what is left of a body": protocol.REST_SECONDS,
    "bytes of a request's line and headers": requests.HEAD_BYTES_MAX,
    "headers of a request": requests.HEADERS_MAX,
    "parameters in a query": requests.PARAMETERS_MAX,
    "bytes beside a body in chunks": requests.HEAD_BYTES_MAX,
    "requests of a connection": 1,
    "bytes on a port of heads": connection_admission.KEPT_BYTES_MAX,
    "log lines a minute": connection_admission.LINES_PER_MINUTE,
    "credentials of one request": key_cache.CREDENTIALS_MAX,
    "look-ups of unknown credentials": key_cache.LOOKUPS_PER_SECOND_MAX,
    "unknown credentials that are remembered": key_cache.UNKNOWN_MAX,
    "requests to the console": mount.AT_ONCE,
    "bytes of a form of the console": mount.BODY_BYTES_MAX,
    "seconds for a request to the console": mount._SECONDS_MAX,
    "wrong API keys at the console": parties.KEY_TRIES,
    "sign-ins of one person": parties.SIGN_INS,
    "refused sign-ins": refusals.AT_ONCE,
    "answers of the identity provider": parties.ANSWERS,
    "sign-ins of one browser": attempt.ATTEMPTS_MAX,
    "seconds between two looks": issuer._RETRY_SECONDS,
    "sessions of a person": sign_ins.SESSIONS_MAX,
}


def figures(heading: str, words: Mapping[str, float]) -> dict[str, list[str]]:
    """The cells behind each row's first, by the words that this one begins with."""
    (rows,) = tables(section("reference/limits.md", heading))
    found = {}
    for name, *cells in rows:
        (begins,) = (begins for begins in words if name.startswith(begins))
        found[begins] = cells
    assert found.keys() == words.keys()
    return found


def most(capacity: int, accounts: int) -> int:
    """The share of the accounts of one namespace together when they take all they can.

    Of much it is taken in pieces of a thousandth, as bodies arrive.
    """
    shares, piece = Shares(capacity), max(1, capacity // 1000)
    for number in range(accounts):
        holder: Holder = ("team", f"team/{number}")
        while shares.take(holder, piece):
            pass
    return capacity - shares.free


def test_every_share_is_what_the_page_states() -> None:
    for words, (whole, namespace, account, _) in figures("What is shared", SHARED).items():
        capacity = SHARED[words]
        assert int(whole) == capacity
        assert int(account) == largest_share(capacity) >= most(capacity, 1)
        assert most(capacity, 1) > 0.99 * largest_share(capacity) - 1
        assert int(namespace) == (capacity + 1) // 2 >= most(capacity, 1000)


def test_every_limit_of_a_request_is_what_the_page_states() -> None:
    for words, (limit, _) in figures("One request", OF_A_REQUEST).items():
        assert float(limit) == OF_A_REQUEST[words]


def test_every_limit_of_tags_is_what_the_page_states() -> None:
    for words, (limit,) in figures("Tags", OF_TAGS).items():
        assert int(limit) == OF_TAGS[words]


def test_what_one_without_a_key_can_take_is_what_the_page_states() -> None:
    for words, (limit,) in figures("Without a key", WITHOUT_A_KEY).items():
        assert int(limit) == WITHOUT_A_KEY[words]
    text = section("reference/limits.md", "Without a key")
    assert f"an empty line within it counts as {requests.EMPTY_LINE_BYTES})" in text
    assert f"another {2 * listeners.SEND_BUFFER_BYTES} in the system" in text
    assert f"operations {connection_admission.OPERATIONS.head_seconds:g} |" in text
    assert f"and {connection_admission.FILES_RESERVED} more |" in text


def test_seconds_and_sizes_beside_the_figures_are_those_of_the_code() -> None:
    text = section("reference/limits.md", "What is shared")
    for seconds in (
        entrance._WAITING_SECONDS_MAX,
        database_reads._WAITING_SECONDS_MAX,
        token_counting._WAITING_SECONDS_MAX,
        reader._WAITING_SECONDS_MAX,
        response_store.CALL_TIMEOUT_SECONDS,
    ):
        assert f"for {seconds:g} s at most" in text
    assert f"within {reader.PROCESSOR_SECONDS} s of a processor" in text
    assert f"and {reader.MEMORY_BYTES // 2**20} MiB" in text
    assert f"used for {memory.UNUSED_SECONDS_MAX / 60:g} minutes" in text


def test_a_batch_of_charges_is_as_large_as_the_page_states() -> None:
    assert f"together, {GroupCommit.BATCH_MAX} at most" in section(
        "reference/limits.md", "One charge"
    )


def test_refusals_are_slowed_down_as_the_page_states() -> None:
    assert f"of one account {RefusalThrottle.AT_ONCE} refusals in a second" in section(
        "reference/limits.md", "The rule"
    )
    assert RefusalThrottle.PAUSE_SECONDS == 1


def test_a_key_takes_as_much_memory_as_the_page_states() -> None:
    (rows,) = tables(section("reference/limits.md", "One namespace"))
    of_a_key, of_a_model = (int(cells[1]) for cells in rows)
    ring = key_cache.KeyCache({PEPPER: bytes(32)}, _nobody, _nobody, metrics.Metrics())
    for models, most in ((0, of_a_key), (100, of_a_key + 100 * (of_a_model + 40))):
        tracemalloc.start()
        for number in range(200):
            ring._put(_live(1000 * models + number, models))
        held, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert held / 200 <= most


def _live(number: int, models: int) -> LiveKey:
    name = f"a-namespace-of-a-usual-length/key-{number}"
    names = tuple(f"{number}-{model}".ljust(40, "x") for model in range(models))
    hashes = tuple(
        LiveHash(f"{number} {kind}".encode().ljust(32), PEPPER, datetime.now(UTC))
        for kind in ("old", "new")
    )
    limits = (60, 8, 5000, 100_000, 1_000_000)
    return LiveKey(number, name, name, number, name, names, *limits, False, None, None, hashes)


async def _nobody(_: object) -> Any:
    raise AssertionError("nobody is asked")
