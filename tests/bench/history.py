"""`python -m tests.bench.history`: what an agent's history costs to read and to write again.

A hundred messages with calls and their results, as they come with every turn. Seconds of CPU move
with the machine, so they are printed only; the calls are held by a test.
"""

import cProfile
import json
import time

from gateway.dialects.chat.request_reader import parse_body
from gateway.dialects.chat.request_writer import write_request
from tests.dialects.support import resolve

_TURNS = 33
_REPEATS, _ROUNDS = 200, 15


def history() -> bytes:
    """The body of such a request, of about 20 KB."""
    messages: list[dict[str, object]] = [
        {"role": "system", "content": "You work on the code of a project, in small steps. " * 8}
    ]
    for turn in range(_TURNS):
        arguments = json.dumps({"path": f"source/module_{turn}.py", "from_line": 1 + turn})
        function = {"name": "read_file", "arguments": arguments}
        call = {"id": f"call_{turn}", "type": "function", "function": function}
        messages += [
            {"role": "user", "content": "Go on with the next module, and run its tests."},
            {"role": "assistant", "content": "", "tool_calls": [call]},
            {"role": "tool", "tool_call_id": call["id"], "content": "a line of code\n" * 20},
        ]
    return json.dumps({"model": "bench", "messages": messages}).encode()


def calls(*, may_be_plain: bool = True) -> int:
    """Calls of functions, those in C included."""
    body, resolution = history(), resolve("generic")
    # The first makes the decoder, which is kept.
    write_request(parse_body(body, may_be_plain=may_be_plain).request, resolution)
    profile = cProfile.Profile()
    profile.enable()
    write_request(parse_body(body, may_be_plain=may_be_plain).request, resolution)
    profile.disable()
    return sum(entry.callcount for entry in profile.getstats())


def microseconds(*, may_be_plain: bool = True) -> float:
    """CPU of the best round."""
    body, resolution = history(), resolve("generic")

    def once() -> float:
        began = time.process_time()
        for _ in range(_REPEATS):
            write_request(parse_body(body, may_be_plain=may_be_plain).request, resolution)
        return (time.process_time() - began) / _REPEATS

    return min(once() for _ in range(_ROUNDS)) * 1e6


def main() -> None:
    """Print both ways."""
    for name, may_be_plain in (("as written", True), ("read and repaired", False)):
        took = microseconds(may_be_plain=may_be_plain)
        print(f"{name}: {took:.0f} µs, {calls(may_be_plain=may_be_plain)} calls")


if __name__ == "__main__":
    main()
