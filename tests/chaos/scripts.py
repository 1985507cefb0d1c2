"""The scripts that clients ask the simulated upstream for: every way to answer, and to fail."""

import random

from tests.chaos.records import Script


def _well(name: str, text: str) -> Script:
    return Script(name, text)


def _badly(name: str, text: str) -> Script:
    return Script(name, text, "badly")


#: silent for long enough that a client leaves meanwhile
_SILENT = (
    _well("silent at first", "!silence 0.6\n!chunks 4 5"),
    _well("silent for long", "!silence 2.5\n!chunks 4 5"),
    _badly("silent for ever", "!silence 600"),
)
#: by how often they are asked for
_WELL = (
    (6, _well("echo", "Say it again")),
    (8, _well("chunks", "!chunks 6 20")),
    (3, _well("slow chunks", "!chunks 30 60")),
    (2, _well("many chunks", "!chunks 300 0")),
    (2, _well("reasoning", "!reason Let me think\n!answer Yes")),
    (1, _well("split", "!chunks 6 5\n!split")),
    (1, _well("coalesced", "!chunks 40 0\n!coalesce")),
    (1, _well("comments", "!chunks 6 5\n!comments")),
    (1, _well("spaces", "!chunks 6 5\n!spaces")),
    (1, _well("tight", "!chunks 6 5\n!tight")),
    (1, _well("cut by its length", "!chunks 6 5\n!length")),
    (1, _well("filtered", "!answer No\n!refuse")),
    (1, _well("without usage", "!chunks 6 5\n!usage none")),
    (1, _well("usage twice", "!chunks 6 5\n!usage both")),
    (1, _well("cached", "!chunks 6 5\n!cached 3")),
    (2, _SILENT[0]),
    (1, _SILENT[1]),
    (2, _well("stalled", "!chunks 6 5\n!stall 4 0.7")),
    (1, _well("stalled for long", "!chunks 6 5\n!stall 4 2.5")),
)
_FAILING = (
    *((1, _badly(f"error {status}", f"!error {status}")) for status in (400, 401, 404, 422)),
    *((1, _badly(f"error {status}", f"!error {status}")) for status in (429, 500, 502, 503, 504)),
    (3, _badly("error event", "!chunks 6 10\n!error-event")),
    (2, _badly("cut at once", "!cut 0")),
    (3, _badly("cut", "!chunks 6 20\n!cut 2")),
    (2, _badly("hung up", "!hang-up")),
    (2, _badly("silent, then hung up", "!silence 1.5\n!hang-up")),
    (2, _badly("stalled, then cut", "!chunks 6 5\n!cut 3\n!stall 3 1.5")),
    (1, _SILENT[2]),
    (1, Script("ended early", "!chunks 6 5\n!end-early", "either")),
    (1, Script("without its last word", "!chunks 6 5\n!no-done", "either")),
    (1, Script("finished by an error", "!chunks 6 5\n!finish error", "either")),
)
_SILENT_SHARE = 0.5
_FAILING_SHARE = 0.25
_LONG_SHARE = 0.03
_LONG_CHUNKS = 50

PROBE = Script("probe", "!answer Here")


def choose_silent_script(chance: random.Random) -> Script:
    """Like `choose_script`, but half of them begin with a silence."""
    if chance.random() < _SILENT_SHARE:
        return chance.choice(_SILENT)
    return choose_script(chance, 0.0)


def choose_script(chance: random.Random, long_seconds: float) -> Script:
    """One of them, by its weight; a few answers take so long, where any may."""
    if long_seconds and chance.random() < _LONG_SHARE:
        pause = round(long_seconds / _LONG_CHUNKS * 1000)
        return _well("long", f"!chunks {_LONG_CHUNKS} {pause}")
    scripts = _FAILING if chance.random() < _FAILING_SHARE else _WELL
    (found,) = chance.choices([s for _, s in scripts], [weight for weight, _ in scripts])
    return found
