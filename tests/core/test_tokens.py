"""The counter of tokens: exact in its vocabulary, quick, and no burden to other threads."""

import threading
import time
from base64 import b64encode
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from gzip import decompress
from importlib.util import find_spec
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core import tokens
from gateway.core.tokens import TokenCounter, VocabularyError

ROOT = Path(__file__).parents[2]
FOX = "The quick brown fox jumps over the lazy dog.\n"

#: counted by OpenAI's own `tiktoken` with o200k_base
KNOWN = {
    "": 0,
    "hello world": 2,
    "The quick brown fox jumps over the lazy dog.": 10,
    "你好世界": 2,
    "def f(x):\n    return x + 1\n": 11,
    "Straße, café: größer!  \n\n\tEnd²": 10,
}

#: what splits a text, what does not, and what looks as if it did
CHARACTERS = "aZsé好中한я1²٣ \n\r\t\u3000\x1c'’_/-!，。\u0301ǅ🙂\u200d"


@cache
def o200k() -> TokenCounter:
    return TokenCounter()


@cache
def o200k_file() -> bytes:
    """The same vocabulary as a file of ranks: it is in the wheel that counts with it."""
    found = find_spec("bpe_openai")
    assert found is not None
    assert found.submodule_search_locations is not None
    folder = Path(found.submodule_search_locations[0])
    return decompress((folder / "data/o200k_base.tiktoken.gz").read_bytes())


@cache
def file() -> TokenCounter:
    return TokenCounter(o200k_file())


def ranks(*words: str) -> bytes:
    """A vocabulary of the bytes and these words, as the lines of a file."""
    known = [bytes((byte,)) for byte in range(256)] + [word.encode() for word in words]
    return b"".join(b"%b %d\n" % (b64encode(word), rank) for rank, word in enumerate(known))


counters = pytest.mark.parametrize("made", [o200k, file], ids=["o200k", "file"])


@pytest.mark.parametrize(("text", "count"), KNOWN.items())
def test_counts_are_those_of_the_vocabulary_s_makers(text: str, count: int) -> None:
    assert o200k().count(text) == count


@counters
def test_any_text_is_counted(made: Callable[[], TokenCounter]) -> None:
    assert made().count("<|endoftext|>") > 1
    assert made().count("\ud800 broken") > 0
    assert made().count_all(["hello world", "", "hello world"]) == 4


@counters
@given(text=st.text(st.sampled_from(CHARACTERS), max_size=200))
def test_pieces_count_exactly_as_the_whole(made: Callable[[], TokenCounter], text: str) -> None:
    whole = made().count(text)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tokens, "_PIECE_CHARACTERS", 8)
        patch.setattr(tokens, "_REST_SECONDS", 0)
        assert made().count(text) == whole


@counters
def test_files_of_ours_count_exactly_as_the_whole(made: Callable[[], TokenCounter]) -> None:
    for name in ("docs/reference/api.md", "pyproject.toml", "gateway/pipeline/flow.py"):
        text = (ROOT / name).read_text("utf-8")
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(tokens, "_PIECE_CHARACTERS", len(text))
            whole = made().count(text)
        assert made().count(text) == whole


def test_both_vocabularies_agree_where_they_are_the_same() -> None:
    text = (ROOT / "docs/reference/api.md").read_text("utf-8")

    assert file().count(text) == o200k().count(text)
    assert (file().name, o200k().name) == ("file", "o200k")


def test_a_file_counts_by_its_own_ranks() -> None:
    counter = TokenCounter(ranks("he", "ll", "hell", "hello", " world"))

    assert counter.count("hello") == 1
    assert counter.count("hello hello") == 3
    assert counter.count("hellohell") == 2
    assert counter.count("好") == 3


def test_chinese_is_cut_from_other_letters_as_the_kimi_models_do() -> None:
    counter = TokenCounter(ranks("好a"))

    assert counter.count("好a") == 4


@pytest.mark.parametrize(
    ("file", "complaint"),
    [
        (b"", "for every byte"),
        (ranks().partition(b"\n")[2], "for every byte"),
        (b"{}", "a line is not"),
        (b"<html> 1", "a line is not"),
        (ranks() + b"aGk= many\n", "a line is not"),
        (ranks() + b"aGk= 7\n", "the same rank"),
        (ranks() + b"\n", "a line is not"),
    ],
)
def test_a_file_that_is_no_vocabulary_is_recognized(file: bytes, complaint: str) -> None:
    with pytest.raises(VocabularyError, match=complaint):
        TokenCounter(file)


@counters
@pytest.mark.parametrize("unit", ["a", " ", "ab1", "\n", "好", "\u0301", "!"])
def test_a_text_without_end_is_counted_quickly(made: Callable[[], TokenCounter], unit: str) -> None:
    began = time.process_time()
    assert made().count(unit * 300_000) > 0
    assert time.process_time() - began < 5


def test_threads_share_one_counter() -> None:
    counter = TokenCounter()
    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(counter.count, ["hello world"] * 25)) == [2] * 25


def test_three_hundred_thousand_tokens_take_less_than_half_a_second() -> None:
    text = FOX * 30_000

    def seconds() -> float:
        began = time.perf_counter()
        assert o200k().count(text) == 30_000 * 10
        return time.perf_counter() - began

    assert min(seconds() for _ in range(5)) < 0.5


@counters
def test_a_long_count_leaves_other_threads_their_turn(made: Callable[[], TokenCounter]) -> None:
    """A count of seconds in one piece would stop the event loop for as long."""
    thread = threading.Thread(target=made().count, args=(FOX * 30_000,))
    turns = 0
    thread.start()
    while thread.is_alive():
        time.sleep(0)
        turns += 1
    thread.join()

    assert turns > 100
