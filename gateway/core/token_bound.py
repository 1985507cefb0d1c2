"""A bound of a text's tokens, without a vocabulary: never below a count, and below twice of it.

A byte weighs by its class. A token is some four letters of a word, and fewer characters of anything
else. So the usual letters weigh little, and rare letters, capitals, digits and signs weigh as much
as they do in random text. Some ten nanoseconds a byte. Shown on corpora for o200k and the Kimi
models' way of cutting (`tests/core/test_token_bound.py`).
"""

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


def _weights() -> bytes:
    weights = bytearray(256)
    for byte in range(128):
        one = bytes((byte,))
        if one in _COMMON:
            weights[byte] = 41
        elif one.islower():
            weights[byte] = 67
        elif one.isupper():
            weights[byte] = 86
        elif one.isdigit():
            weights[byte] = 84
        elif one == b" ":
            weights[byte] = 9
        elif one.isspace():
            weights[byte] = 50
        else:
            weights[byte] = 70
    # The first byte of a character weighs for all of it. First bytes are those of UTF-8: letters
    # with accents, other alphabets, scripts of three bytes, Korean, and pictures.
    for first, last, weight in (
        (0xC2, 0xC5, 90),
        (0xC6, 0xDF, 50),
        (0xE0, 0xE0, 110),
        (0xE1, 0xE2, 160),
        (0xE3, 0xE9, 135),
        (0xEA, 0xED, 115),
        (0xEE, 0xEF, 135),
        (0xF0, 0xF4, 250),
    ):
        weights[first : last + 1] = bytes((weight,)) * (last + 1 - first)
    return bytes(weights)


def _classes() -> bytes:
    """Letters as `a`, digits as `0`, blanks as they are."""
    shown = (b"0" if chr(byte).isdigit() else b"a" for byte in range(128))
    classes = b"".join(
        one if bytes((byte,)).isalnum() else b" " if byte == 0x20 else b"."
        for byte, one in enumerate(shown)
    )
    return classes + b"." * 128


_WEIGHTS = _weights()
_CLASSES = _classes()
#: a blank before a number is a token of its own, and a letter that stands alone is another
_BEFORE_NUMBER = 110
_ALONE = 80
#: characters that JSON spells by their numbers, and a first byte that weighs as much: other
#: alphabets, Chinese and Japanese, and all others
_ESCAPES = tuple(
    (re.compile(rb"\\u%b" % number), first_byte)
    for number, first_byte in (
        (rb"0[2-7][0-9a-fA-F]{2}", b"\xd0"),
        (rb"[3-9][0-9a-fA-F]{3}", b"\xe4"),
        (rb"[0-9a-fA-F]{4}", b"\xe1"),
    )
)
#: `\\u4e2d`
_ESCAPE_BYTES = 6
#: work of some 0.7 ms, so that nobody waits for the interpreter's lock
_WINDOW_BYTES = 64 * 1024
_decode_text = msgspec.json.Decoder(str).decode

#: an image where it stands as one, in any dialect; with escapes such as `\\/` and `\\n`
_IMAGE = re.compile(rb'"(?:url|image_url|data)"\s*:\s*"(?:data:[^",]{0,300},)?([\w+/=\\-]+)"')


def bound_text(text: bytes) -> int:
    """Return at least the tokens of a text in UTF-8."""
    windows = range(0, len(text), _WINDOW_BYTES)
    return -(-sum(_weigh(text, start) for start in windows) // _ONE)


def _weigh(text: bytes, start: int) -> int:
    """The weight of the window that begins there; what it needs to know of the one before are two
    bytes."""
    end = start + _WINDOW_BYTES
    classes = text[max(0, start - 2) : end].translate(_CLASSES)
    weight = sum(text[start:end].translate(_WEIGHTS))
    # A blank belongs to two letters that stand alone beside it.
    alone = classes.replace(b" ", b"  ").count(b" a ")
    before_numbers = classes[min(start, 1) :].count(b" 0")
    return weight + _BEFORE_NUMBER * before_numbers + _ALONE * alone


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
    if b"\\u" in body:
        body = b"".join(_without_escapes(body))
    tokens = _TEMPLATE_TOKENS + IMAGE_TOKENS * len(images)
    if b'"tools":' in body:
        tokens += _TOOLS_TOKENS
    return tokens + bound_text(body)


def _without_escapes(body: bytes) -> Iterator[bytes]:
    """The body with a first byte in place of each escaped character, in windows."""
    held = b""
    for start in range(0, len(body), _WINDOW_BYTES):
        # A backslash that is escaped itself begins nothing; other signs weigh as much.
        window = (held + body[start : start + _WINDOW_BYTES]).replace(b"\\\\", b"~~")
        cut = window.rfind(b"\\", max(0, len(window) - _ESCAPE_BYTES + 1))
        held = b""
        if cut >= 0:  # the next window may have the rest of it
            window, held = window[:cut], window[cut:]
        for escape, first_byte in _ESCAPES:
            window = escape.sub(first_byte, window)
        yield window
    yield held


def _unescaped(data: bytes) -> bytes:
    """The text of a string in JSON; base64 from many programs has line breaks."""
    if b"\\" not in data:
        return data
    try:
        return _decode_text(b'"%b"' % data).encode()
    except ValueError:  # it goes on behind a quote
        return data
