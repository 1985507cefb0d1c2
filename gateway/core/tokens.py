"""Counts the tokens of texts: exactly, in one of two vocabularies.

Owns the vocabularies (o200k, which is shipped, or ranks from a file) and the way of counting that
leaves other threads their turn. In prose, code, schemas and Chinese, the counts of o200k and of the
Kimi vocabulary differ by about 6 %. Must never fail for a text. The work is the processor's: a
caller on an event loop does it in a thread, and one such thread is enough.
"""

import binascii
import re
import time
from collections.abc import Callable, Iterable, Iterator
from importlib.machinery import PathFinder
from importlib.util import find_spec, module_from_spec
from threading import Lock
from typing import Any, Literal

#: a piece is some 0.4 ms of work under the interpreter's lock; between two the lock is let go for
#: long enough that a waiting thread gets it
_PIECE_CHARACTERS = 4096
_REST_SECONDS = 0.0002
#: counted in one go by a thread that several share
PORTION_CHARACTERS = 262_144
#: without a boundary, a piece ends after so many
_PIECE_CHARACTERS_MAX = 65_536

#: A word's last letter with punctuation or a space behind it. Both vocabularies' patterns always
#: end a match there and never look back, so the tokens of two such pieces are those of the whole.
_BOUNDARY = r"[^\W\d_](?=[\s!-&(-/:-@\[-`{-~、。，：；！？（）「」])"
_LAST_BOUNDARY = re.compile(f"(?s:.*){_BOUNDARY}")
_NEXT_BOUNDARY = re.compile(_BOUNDARY)

#: the pattern by which the Kimi models cut a text before ranks are applied. Source:
#: `tokenization_kimi.py` beside the open weights.
_KIMI_PATTERN = "|".join(
    (
        r"[\p{Han}]+",
        r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]*"
        r"[\p{Ll}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
        r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]+"
        r"[\p{Ll}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
        r"\p{N}{1,3}",
        r" ?[^\s\p{L}\p{N}]+[\r\n]*",
        r"\s*[\r\n]+",
        r"\s+(?!\S)",
        r"\s+",
    )
)

Count = Callable[[str], int]


class VocabularyError(ValueError):
    """A file is no vocabulary; the message gives the reason."""


class TokenCounter:
    """A vocabulary in memory, 45 to 70 MiB: make one and keep it; threads may share it.

    o200k is loaded by the first count, in 0.1 s. `name` is the vocabulary's.
    """

    def __init__(self, ranks: bytes | None = None) -> None:
        """`ranks` is a file of ranks, which counts instead of o200k; raises `VocabularyError`."""
        self.name: Literal["o200k", "file"] = "o200k" if ranks is None else "file"
        self._loading = Lock()
        self._count: Count | None = None if ranks is None else _load_ranks(ranks)

    def count(self, text: str) -> int:
        """Tokens of `text`; 0 for an empty one."""
        return self.count_all((text,))

    def count_all(self, texts: Iterable[str]) -> int:
        """Tokens of all `texts`, each for itself."""
        return sum(self.counting(texts))

    def counting(self, texts: Iterable[str]) -> Iterator[int]:
        """The same in portions of some 50 ms of work, so that others have a turn between two."""
        with self._loading:
            if self._count is None:
                self._count = _load_o200k()
        tokens = since_rest = since_turn = 0
        for text in texts:
            for piece in _pieces(text):
                if since_rest + len(piece) > _PIECE_CHARACTERS:
                    time.sleep(_REST_SECONDS)
                    since_rest = 0
                if since_turn > PORTION_CHARACTERS:
                    yield tokens
                    tokens = since_turn = 0
                tokens += _count_piece(self._count, piece)
                since_rest += len(piece)
                since_turn += len(piece)
        yield tokens


def _pieces(text: str) -> Iterator[str]:
    start = 0
    while len(text) - start > _PIECE_CHARACTERS:
        # The look-ahead may see one character of what follows.
        last = _LAST_BOUNDARY.match(text, start, start + _PIECE_CHARACTERS + 1)
        end = last.end() if last is not None else _next_boundary(text, start)
        yield text[start:end]
        start = end
    yield text[start:]


def _next_boundary(text: str, start: int) -> int:
    longest = start + _PIECE_CHARACTERS_MAX
    following = _NEXT_BOUNDARY.search(text, start + _PIECE_CHARACTERS, longest)
    return following.end() if following is not None else longest


def _count_piece(count: Count, piece: str) -> int:
    try:
        return count(piece)
    except UnicodeEncodeError:  # a lone surrogate
        return count(piece.encode("utf-8", "replace").decode())


def _load_o200k() -> Count:
    # The package around it reads three more vocabularies into Python: a second of work and 70 MiB.
    bindings = _extension("bpe_openai", "_bindings")
    count: Count = bindings.tokenizer_for_encoding("o200k_base").count
    return count


def _load_ranks(file: bytes) -> Count:
    """A vocabulary from lines of a token in base64 and its rank, as `tiktoken.model` has them."""
    try:
        ranks = {
            binascii.a2b_base64(token, strict_mode=True): int(rank)
            for token, rank in map(bytes.split, file.splitlines())
        }
    except ValueError:
        raise VocabularyError("a line is not a token in base64 and its rank") from None
    if any(bytes((byte,)) not in ranks for byte in range(256)):
        raise VocabularyError("there is no token for every byte")
    if len(set(ranks.values())) < len(ranks):
        raise VocabularyError("two tokens have the same rank")
    # The package around it brings a client for downloads along.
    encode = _extension("tiktoken", "_tiktoken").CoreBPE(ranks, {}, _KIMI_PATTERN).encode_ordinary
    return lambda text: len(encode(text))


def _extension(package: str, name: str) -> Any:
    """The extension module of a wheel, without the package around it."""
    found = find_spec(package)
    paths = found.submodule_search_locations if found is not None else None
    spec = PathFinder.find_spec(f"{package}.{name}", paths)
    if spec is None or spec.loader is None:
        raise ModuleNotFoundError(f"{package} is not installed", name=package)
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
