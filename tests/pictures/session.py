"""The first minute at a terminal: `make run`, an answer, and an account without credits."""

from collections.abc import Iterator
from pathlib import Path

from tests.harness.make_run import MakeRun
from tests.pictures.terminal import Line

_LOAD = ". .faregate/secrets/demo/{name}-key.env"
_ASK = """\
curl -si $OPENAI_BASE_URL/chat/completions -H "Authorization: Bearer $OPENAI_API_KEY" \\
  --json '{"model": "kimi-k2.5", "messages": [{"role": "user", "content": "Hello"}]}' \\
  | grep -oE '^HTTP.*|^x-credits.*|"(content|message)":"[^"]*"'"""
#: the last line of the banner that the picture holds
_SHOWN_UNTIL = "balance 0 credits"


def record(folder: Path) -> list[Line]:
    """Run it all in an empty folder."""
    run = MakeRun(folder)
    with run.running() as printed:
        lines = [Line("make run", "command"), *_banner(run.as_shown(printed))]
        for name in ("alice", "bob"):
            load = _LOAD.format(name=name)
            lines += [Line(""), Line(load, "command"), Line(_ASK, "command")]
            lines += [Line(text, _kind(text)) for text in run.type(load, _ASK).splitlines()]
    return lines


def _banner(printed: str) -> Iterator[Line]:
    """The banner without the log around it."""
    for text in printed.splitlines():
        if text.startswith("{"):
            continue
        yield Line(text)
        if _SHOWN_UNTIL in text:
            yield Line("…")
            return


def _kind(text: str) -> str:
    if text.startswith("HTTP/1.1 2"):
        return "good"
    return "bad" if text.startswith("HTTP/1.1 4") else "output"
