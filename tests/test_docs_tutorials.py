"""The tutorials, typed as they stand: each command gives the output that the page shows.

The blocks `bash test` are typed into one shell, in order; the block `text seen` behind one is its
output, with keys and ids shortened. `text printed` is a part of the output of `make run`.
"""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.harness.make_run import MakeRun
from tests.harness.pages import ROOT, blocks, page

#: marks the end of one block's output
_END = "-- the end of a block --\n"


@pytest.mark.parametrize("name", ["first-answer", "a-model-that-misbehaves"])
def test_a_tutorial_shows_what_its_reader_sees(name: str, tmp_path: Path) -> None:
    text = page(f"tutorial/{name}.md")
    config = tmp_path / "my-gateway.yaml"
    shutil.copy(ROOT / "examples/quickstart.yaml", config)
    run = MakeRun(tmp_path, config=config)
    with run.running() as printed:
        for block in blocks(text, "text printed"):
            assert block in run.as_shown(printed)
        # The copy is there already, so that the gateway could start on it.
        pairs = [pair for pair in _pairs(text) if not pair[0].startswith("cp ")]
        typed = "".join(f"{command}\necho '{_END.strip()}'\n" for command, _ in pairs)
        outputs = run.type(typed.replace("127.0.0.1:8080", f"127.0.0.1:{run.port}"))
    shown = [_shortened(output) for output in outputs.split(_END)[:-1]]
    assert shown == [seen for _, seen in pairs]


def _pairs(text: str) -> Iterator[tuple[str, str]]:
    """Each command, with the output that the page shows for it."""
    found = re.findall(r"^```(bash test|text seen)\n(.*?)^```", text, re.M | re.S)
    for (kind, block), (behind, output) in zip(found, [*found[1:], ("", "")], strict=True):
        if kind == "bash test":
            yield block, output if behind == "text seen" else ""


def _shortened(output: str) -> str:
    ended = output + "\n" * (output[-1:] not in ("", "\n"))
    return re.sub(r'"(chatcmpl-|msg_)\w+"', r'"\1…"', ended.replace("\r", ""))
