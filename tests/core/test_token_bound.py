"""The bound of tokens without a vocabulary: never below a count, and in the median below twice."""

import json
import random
import time
from base64 import b64decode, b64encode, encodebytes
from collections.abc import Callable
from functools import cache
from pathlib import Path
from statistics import median
from uuid import UUID

import pytest

from gateway.core import token_bound
from gateway.core.token_bound import IMAGE_TOKENS, bound_prompt, bound_text
from gateway.core.tokens import TokenCounter
from tests.core.test_tokens import file, o200k

ROOT = Path(__file__).parents[2]
#: texts of this many characters are compared
PIECE = 3_000

CHINESE = (
    "机器学习是人工智能的一个分支。它使用算法来解析数据、从中学习，然后对真实世界中的事件做出决策和预测。"
    "与传统的为解决特定任务、硬编码的软件程序不同，机器学习是用大量的数据来训练，通过各种算法从数据中学习如何完成任务。"
    "春眠不觉晓，处处闻啼鸟。夜来风雨声，花落知多少。"
)
JAPANESE = (
    "吾輩は猫である。名前はまだ無い。どこで生れたかとんと見当がつかぬ。何でも薄暗いじめじめした所で"
    "ニャーニャー泣いていた事だけは記憶している。吾輩はここで始めて人間というものを見た。"
)
KOREAN = (
    "모든 인간은 태어날 때부터 자유로우며 그 존엄과 권리에 있어 동등하다. "
    "인간은 천부적으로 이성과 양심을 부여받았으며 서로 형제애의 정신으로 행동하여야 한다."
)
RUSSIAN = (
    "Все люди рождаются свободными и равными в своем достоинстве и правах. Они наделены разумом и "
    "совестью и должны поступать в отношении друг друга в духе братства."
)
GERMAN = (
    "Alle Menschen sind frei und gleich an Würde und Rechten geboren. Sie sind mit Vernunft und "
    "Gewissen begabt und sollen einander im Geist der Brüderlichkeit begegnen."
)
#: scripts of which vocabularies know little, and marks of vowels
FEW_KNOW = {
    "amharic": "የሰው ልጅ ሁሉ ሲወለድ ነጻና በክብርና በመብትም እኩልነት ያለው ነው።",
    "lao": "ມະນຸດທຸກຄົນເກີດມາມີກຽດສັກສີ, ສິດທິ, ເສລີພາບແລະຄວາມສະເໝີພາບເທົ່າທຽມກັນ.",
    "tibetan": "འགྲོ་བ་མིའི་རིགས་རྒྱུད་ཡོངས་ལ་སྐྱེས་ཙམ་ཉིད་ནས་ཆེ་མཐོངས་དང༌།",
    "mongolian": "ᠬᠦᠮᠦᠨ ᠪᠦᠷ ᠲᠥᠷᠥᠵᠦ ᠮᠡᠨᠳᠡᠯᠡᠬᠦ",
    "inuktitut": "ᐃᓅᔪᓕᒫᑦ ᐊᓂᖅᑎᕆᔪᓕᒫᑦ ᐃᓅᓕᖅᑎᓪᓗᒋᑦ ᐃᓱᒪᕐᓱᕐᑎᐅᓪᓗᑎᒃ",
    "cuneiform": "𒀭𒂗𒆤𒈗𒆳𒆳𒊏𒀊𒁀𒀭𒊒𒉈𒆤",
    "cherokee": "ᏂᎦᏓ ᎠᏂᏴᏫ ᏂᎨᎫᏓᎸᎾ ᎠᎴ ᎤᏂᏠᏱ ᎤᎾᏕᎿ",
    "hebrew with marks": "בְּרֵאשִׁית בָּרָא אֱלֹהִים אֵת הַשָּׁמַיִם וְאֵת הָאָרֶץ",
    "arabic with marks": "بِسْمِ اللَّهِ الرَّحْمَٰنِ الرَّحِيمِ الْحَمْدُ لِلَّهِ رَبِّ الْعَالَمِينَ",
    "old greek": "ἐν ἀρχῇ ἦν ὁ λόγος, καὶ ὁ λόγος ἦν πρὸς τὸν θεόν, καὶ θεὸς ἦν ὁ λόγος.",
    "yoruba": "Gbogbo ènìyàn ni a bí ní òmìnira; iyì àti ẹ̀tọ́ kọ̀ọ̀kan sì dọ́gba.",
}
ARABIC = "يولد جميع الناس أحراراً متساوين في الكرامة والحقوق. وقد وهبوا عقلاً وضميراً."


def of_files(pattern: str) -> list[str]:
    texts = "".join(path.read_text("utf-8") for path in sorted(ROOT.glob(pattern)))
    return [texts[start : start + PIECE] for start in range(0, len(texts), PIECE)][:80]


@cache
def corpora() -> dict[str, list[str]]:
    chance = random.Random(1)
    lower = "abcdefghijklmnopqrstuvwxyz"
    return {
        "english": of_files("docs/explanation/*.md"),
        "code": of_files("gateway/pipeline/*.py"),
        "javascript": of_files("tests/sdk/*.mjs"),
        "yaml": of_files("crds/*.yaml"),
        "tool schemas": of_files("charts/faregate/values.schema.json"),
        "chinese": [CHINESE],
        "japanese": [JAPANESE],
        "korean": [KOREAN],
        "russian": [RUSSIAN],
        "german": [GERMAN],
        "arabic": [ARABIC],
        "emoji": ["🙂🚀👩‍👩‍👧‍👦🇩🇪✨🔥🥹🫠" * 20],
        "base64": [b64encode(chance.randbytes(PIECE)).decode() for _ in range(20)],
        "hex": [chance.randbytes(PIECE).hex() for _ in range(20)],
        "letters": ["".join(chance.choices(lower, k=PIECE)) for _ in range(20)],
        "capitals": ["".join(chance.choices(lower.upper(), k=PIECE)) for _ in range(20)],
        "digits": [" ".join(chance.choices("0123456789", k=PIECE)) for _ in range(20)],
        "numbers": [",".join(str(chance.randrange(10**6)) for _ in range(500))],
        **{name: [text * 5] for name, text in FEW_KNOW.items()},
        **{name: [made(chance, lower)] for name, made in MANY_ENDS.items()},
    }


#: where most tokens are of one character or two
MANY_ENDS: dict[str, Callable[[random.Random, str], str]] = {
    "uuids": lambda by, _: "\n".join(str(UUID(int=by.getrandbits(128))) for _ in range(50)),
    "addresses": lambda by, _: "\n".join(by.randbytes(6).hex(":") for _ in range(100)),
    "dump": lambda by, _: "\n".join(by.randbytes(16).hex(" ") for _ in range(50)),
    "bytes of C": lambda by, _: ", ".join(f"0x{one:02x}" for one in by.randbytes(500)),
    "escapes": lambda *_: "\\u4e2d" * 300,
    "a letter a line": lambda by, letters: "\n".join(by.choices(letters, k=PIECE)),
    "a digit a line": lambda by, _: "\n".join(by.choices("0123456789", k=PIECE)),
    "letters and digits": lambda by, letters: "".join(
        by.choice(letters) + by.choice("0123456789") for _ in range(PIECE)
    ),
    "letters of licence plates": lambda by, letters: " ".join(
        by.choice(letters) + by.choice("0123456789") for _ in range(PIECE)
    ),
    "signs": lambda by, _: " ".join(by.choices("!$%&/()=?*+-#<>|", k=PIECE)),
    "blanks": lambda by, letters: "  ".join(by.choices(letters, k=PIECE)),
    "tabs": lambda *_: "\t " * PIECE,
    "a letter of Russian": lambda *_: "\\я" * 20 + RUSSIAN,
    "moves": lambda by, _: " ".join(
        f"{by.choice('NBRQK')}x{by.choice('abcdefgh')}{by.randrange(1, 9)}" for _ in range(300)
    ),
}


#: kinds of text that prompts are made of: there the bound is close
NATURAL = (
    "english", "code", "javascript", "yaml", "tool schemas", "chinese", "japanese", "korean",
    "russian", "german", "arabic", "emoji", "base64",
)  # fmt: skip


def ratios(counter: TokenCounter, texts: list[str]) -> list[float]:
    return [bound_text(text.encode()) / counter.count(text) for text in texts]


@pytest.mark.parametrize("made", [o200k, file], ids=["o200k", "file"])
def test_the_bound_is_never_below_a_count(made: object) -> None:
    assert callable(made)
    below = {
        name: min(ratios(made(), texts))
        for name, texts in corpora().items()
        if min(ratios(made(), texts)) < 1
    }
    assert below == {}


@pytest.mark.parametrize("name", NATURAL)
def test_the_bound_is_below_twice_a_count_in_the_median(name: str) -> None:
    assert 1 < median(ratios(o200k(), corpora()[name])) < 2


def test_a_body_in_json_is_bounded_too() -> None:
    for name in (*NATURAL, *FEW_KNOW, *MANY_ENDS):
        for text in corpora()[name]:
            message = {"role": "user", "content": text}
            plain, escaped = (
                bound_prompt(json.dumps({"messages": [message]}, ensure_ascii=each).encode(), [])
                for each in (False, True)
            )
            assert o200k().count(text) < plain <= escaped < 1.4 * plain, name


def test_an_image_counts_for_the_most_that_one_may_be() -> None:
    data = b64encode(random.Random(2).randbytes(300_000)).decode()
    url = f"data:image/png;base64,{data}"
    for image in (
        {"type": "image_url", "image_url": {"url": url}},
        {"type": "input_image", "image_url": url},
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": data}},
        {"inlineData": {"mimeType": "image/png", "data": data}},
    ):
        body = json.dumps({"messages": [{"content": [image]}]}).encode()
        for spelled in (
            body,
            body.replace(b"/", b"\\/"),
            body.replace(b'": ', b'":'),
            body.replace(data[:2].encode(), b"".join(b"\\u%04x" % ord(one) for one in data[:2])),
        ):
            assert IMAGE_TOKENS < bound_prompt(spelled, [url]) < IMAGE_TOKENS + 200
    assert 2 * IMAGE_TOKENS < bound_prompt(body, [url, url]) < 2 * IMAGE_TOKENS + 200
    wrapped = encodebytes(b64decode(data)).decode()
    body = json.dumps({"messages": [{"content": [{"url": wrapped}]}]}).encode()
    assert IMAGE_TOKENS < bound_prompt(body, [wrapped]) < IMAGE_TOKENS + 200


def test_a_prompt_that_is_called_an_image_elsewhere_counts_as_a_prompt() -> None:
    """Nobody looks into an image: its payload may be the words of another message."""
    words = "more+words+" * 8000
    url = f"data:image/png;base64,{words}"
    messages = {"role": "user", "content": words}
    plain = json.dumps({"messages": [messages]}).encode()
    seen = {"role": "user", "content": [{"type": "image_url", "image_url": {"url": url}}]}
    both = json.dumps({"messages": [seen, messages]}).encode()

    whole = bound_prompt(plain, [])
    assert bound_prompt(plain, [url]) == whole + IMAGE_TOKENS
    assert bound_prompt(both, [url]) >= whole + IMAGE_TOKENS


def test_many_images_are_looked_at_once() -> None:
    urls = [f"data:image/png;base64,{number:08d}" for number in range(60_000)]
    parts = [{"type": "image_url", "image_url": {"url": url}} for url in urls]
    body = json.dumps({"messages": [{"content": parts}]}).encode()
    before = time.process_time()
    assert bound_prompt(body, urls) < 60_000 * (IMAGE_TOKENS + 50)
    assert time.process_time() - before < 5  # each by itself took minutes


def test_letters_that_stand_alone_count_each() -> None:
    text = b" ".join([b"e", b"t", b"a", b"o"] * 1000)
    assert bound_text(text) >= o200k().count(text.decode())


def test_declared_tools_bring_a_provider_s_own_instructions_along() -> None:
    plain = b'{"messages":[]}'
    with_tools = b'{"messages":[],"tools":[]}'

    assert bound_prompt(with_tools, []) > bound_prompt(plain, []) + 530


@pytest.mark.parametrize("text", ["", "a", "好", "\x00", "\n" * 9])
def test_small_and_odd_texts_are_bounded(text: str) -> None:
    assert bound_text(text.encode()) >= o200k().count(text)


@pytest.mark.parametrize("window", [7, 64])
def test_it_is_the_same_in_windows_of_any_size(
    window: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The work is done in pieces, between which others have their turn."""
    names = ("code", "chinese", "russian", "emoji", "cuneiform", "dump")
    texts = [text[:400] for name in names for text in corpora()[name][:5]]
    bodies = [json.dumps(text + '\\ \\\\中 a 0 "é" 😀').encode() for text in texts]
    whole = [bound_prompt(body, []) for body in bodies]
    monkeypatch.setattr(token_bound, "_WINDOW_BYTES", window)
    assert [bound_prompt(body, []) for body in bodies] == whole
