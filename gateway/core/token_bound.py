"""A bound of a text's tokens, without a vocabulary: never below a count, and below twice of it.

A byte weighs by its class, and more where a token ends beside it: a letter that stands alone is a
token, and so is the end of a line behind a word. Of scripts that vocabularies hardly know each byte
is a token. Some twenty nanoseconds a byte. Shown on corpora for o200k and the Kimi models' way of
cutting (`tests/core/test_token_bound.py`).
"""

import codecs
import re
from collections import Counter
from collections.abc import Iterator

import msgspec

#: hundredths of a token
_ONE = 100
#: template of a prompt: its roles and ends, and a system prompt of the family's own
_TEMPLATE_TOKENS = 64
#: the instructions that providers put before declared tools. Source: Anthropic API reference,
#: "Tool use", "Pricing": up to 530 tokens
_TOOLS_TOKENS = 600
#: larger images are shrunk before a model sees them
IMAGE_TOKENS = 4096

_COMMON = b"etaoinsrhlcdu"
#: the weight of a character of UTF-8, by its first byte: letters with accents, rare Latin letters
#: and combining marks, Greek, Cyrillic, Armenian, Hebrew, Arabic, scripts of three bytes, pictures
_FIRST_BYTES = (
    (0xC2, 0xC3, 100), (0xC4, 0xC5, 110), (0xC6, 0xCD, 200), (0xCE, 0xCF, 70), (0xD0, 0xD1, 50),
    (0xD2, 0xD3, 230), (0xD4, 0xD6, 60), (0xD7, 0xD7, 70), (0xD8, 0xDB, 60), (0xDC, 0xDF, 200),
    (0xE0, 0xE0, 110), (0xE1, 0xE2, 160), (0xE3, 0xE9, 135), (0xEA, 0xED, 115),
    (0xEE, 0xEE, 135), (0xEF, 0xEF, 145), (0xF0, 0xF4, 250),
)  # fmt: skip
#: characters that weigh more than their first byte shows: capitals, marks of vowels, rare letters;
#: then scripts that vocabularies hardly know, such as Ethiopic, Cherokee, Yi, Braille, cuneiform
_RARE = (
    (
        70,
        re.compile(
            rb"[\xce\xd0][\x80-\xaf]|\xd6[\xb0-\xbf]|\xd7[\x80-\x87]|\xd9[\x8b-\x9f]"
            rb"|\xe1[\xbc-\xbf]|\xe2[\x81-\x9f]"
        ),
    ),
    (
        185,
        re.compile(
            rb"\xe0[\xba-\xbf]|\xe1[\x84-\x9d\xa0-\xb9]|\xe2[\xa0-\xbf]|\xe3[\x84-\xbf]|\xe4[\x80-\xb7]"
            rb"|\xea[\x80-\xaf]|[\xee\xf1-\xf4][\x80-\xbf]|\xef[\x80-\xbb]|\xf0[\x90-\x9e\xa0-\xbf]"
        ),
    ),
)


def _weight(byte: int) -> int:
    one = bytes((byte,))
    if byte >= 128:
        return next((weight for a, z, weight in _FIRST_BYTES if a <= byte <= z), 0)
    if one in _COMMON:
        return 41
    if one.islower():
        return 71
    if one.isupper():
        return 95
    if one.isdigit():
        return 96
    if one == b" ":
        return 10
    if one.isspace():
        return 50
    return 100 if byte < 32 or byte == 127 else 70


def _mark(byte: int) -> int:
    """One bit: a letter of ASCII, a digit, a blank, other space, a sign, or a byte beyond ASCII."""
    one = bytes((byte,))
    if byte >= 128:
        return 32
    if one.isalpha():
        return 1
    if one.isdigit():
        return 2
    return 4 if one == b" " else 8 if one.isspace() else 16


#: classes of bytes that weigh the same, by their weight; a byte of a class is its place here
_CLASSES = sorted({_weight(byte) for byte in range(256)} - {0})
_CLASS = bytes(_CLASSES.index(_weight(byte)) if _weight(byte) else 255 for byte in range(256))
_MARK = bytes(_mark(byte) for byte in range(256))
#: an escape that may go on behind a window's end, and the first half of a pair before one
_CUT = re.compile(rb"(?:\\u[dD][89abAB][0-9a-fA-F]{2})?(?:\\(?:u[0-9a-fA-F]{0,3})?)?\Z")
_CUT_BYTES = len(rb"\ud83d\ude4")
_BACKSLASH = b"\x7f"
_ASCII = bytes(range(128))
#: work of some 0.7 ms, so that nobody waits for the interpreter's lock
_WINDOW_BYTES = 16 * 1024
_decode_text = msgspec.json.Decoder(str).decode

#: an image where it stands as one, in any dialect; with escapes such as `\\/` and `\\n`
_IMAGE = re.compile(rb'"(?:url|image_url|data)"\s*:\s*"(?:data:[^",]{0,300},)?([\w+/=\\-]+)"')


def bound_text(text: bytes) -> int:
    """Return at least the tokens of a text in UTF-8."""
    windows = range(0, len(text), _WINDOW_BYTES)
    return -(-sum(_weigh(text, start) for start in windows) // _ONE)


def _weigh(text: bytes, start: int) -> int:
    """The weight of the bytes of the window that begins there, and of the tokens' ends in it."""
    end = start + _WINDOW_BYTES
    window = text[start:end]
    classes = window.translate(_CLASS)
    weight = sum(more * classes.count(place) for place, more in enumerate(_CLASSES))
    # A character that stands alone ends with the sign behind it, three bytes after the one before.
    before = text[max(0, start - 3) : start] or b"."
    behind = b"." if end >= len(text) else b""
    weight += _weigh_ends(before + window + behind, len(window) + len(behind))
    if not window.isascii():
        others = text[start : end + 1].translate(None, _ASCII)
        weight += sum(more * len(rare.findall(others)) for more, rare in _RARE)
    return weight


def _weigh_ends(text: bytes, length: int) -> int:
    """The weight that tokens have where they end among the last `length` bytes.

    Marks of all bytes are one number, so one shift lays each byte's on that of the next.
    """
    marks = int.from_bytes(text.translate(_MARK), "big")
    ones = int.from_bytes(b"\1" * length, "big")
    letters, digits, blanks, spaces, signs, others = (marks >> bit for bit in range(6))
    words = letters | others
    apart = digits | blanks | spaces | signs
    weight = 0
    for ends, more in (
        (blanks >> 8 & digits, 110),  # a blank before a number is a token of its own
        (signs >> 8 & digits, 34),
        (words >> 8 & digits, 22),
        (blanks >> 8 & signs, 25),
        ((words | digits) >> 8 & spaces, 54),
        (spaces >> 8 & blanks, 50),
        # Of blanks before a word all but the last are a token.
        ((words | digits | signs) >> 16 & blanks >> 8 & blanks, 90),
        (apart >> 16 & letters >> 8 & apart, 60),  # a letter that stands alone
        (apart >> 24 & others >> 16 & others >> 8 & apart, 60),
    ):
        weight += more * (ends & ones).bit_count()
    return weight


def bound_prompt(body: bytes, images: list[str]) -> int:
    """Return at least the tokens of the prompt that a body in JSON makes, in any dialect.

    `images` are those of the request, as `data:` URLs, for models that see some. Their text is no
    prompt where they stand as images; anywhere else it is, since nobody has looked into them.
    """
    left = Counter(url.rpartition(",")[2].encode() for url in images)

    def take(found: re.Match[bytes]) -> bytes:
        data = _unescaped(found[1])
        if not left[data]:
            return found[0]
        left[data] -= 1
        return b""

    if images:
        body = _IMAGE.sub(take, body)
    if b"\\" in body:
        body = b"".join(_without_escapes(body))
    tokens = _TEMPLATE_TOKENS + IMAGE_TOKENS * len(images)
    if b'"tools":' in body:
        tokens += _TOOLS_TOKENS
    return tokens + bound_text(body)


def _without_escapes(body: bytes) -> Iterator[bytes]:
    """The body with the characters that JSON escapes as themselves, in windows."""
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    held = b""
    for start in range(0, len(body), _WINDOW_BYTES):
        # A backslash that is escaped itself begins nothing; this byte weighs as much.
        window = (held + body[start : start + _WINDOW_BYTES]).replace(b"\\\\", _BACKSLASH)
        found = _CUT.search(window, max(0, len(window) - _CUT_BYTES))
        held = found[0] if found else b""  # the next window may have the rest of it
        yield _as_themselves(decoder.decode(window[: len(window) - len(held)]))
    yield held


def _as_themselves(text: str) -> bytes:
    """The text in UTF-8."""
    for escape, character in (("\\n", "\n"), ("\\t", "\t"), ('\\"', '"'), ("\\/", "/")):
        text = text.replace(escape, character)
    if "\\u" in text:
        text = text.encode("raw_unicode_escape").decode("raw_unicode_escape", "replace")
        text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text.encode()


def _unescaped(data: bytes) -> bytes:
    """The text of a string in JSON; base64 from many programs has line breaks."""
    if b"\\" not in data:
        return data
    try:
        return _decode_text(b'"%b"' % data).encode()
    except ValueError:  # it goes on behind a quote
        return data
