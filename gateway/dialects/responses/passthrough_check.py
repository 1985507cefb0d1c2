"""A check that a request may go as its client wrote it to an upstream that speaks Responses.

Owns the rule: what the gateway has to look up, to fit together or to bring back under another name
is not for the upstream to read. Source: OpenAI API reference, "Create a model response".
"""

from collections import Counter
from collections.abc import Sequence

from gateway.dialects.responses.history_reader import kind_of
from gateway.dialects.responses.tools import Toolbox
from gateway.dialects.responses.types import Object, ResponsesBody

_CALL, _OUTPUT = "function_call", "function_call_output"
_ELSEWHERE = frozenset({"file_id", "file_url"})
_KINDS = frozenset({"message", "reasoning", _CALL, _OUTPUT})


def is_plain(body: ResponsesBody, own: Sequence[Object], toolbox: Toolbox) -> bool:
    """Nothing but messages, reasoning and functions, in full; `own` are the items as given."""
    kinds = Counter(map(kind_of, own))
    return (
        body.previous_response_id is None
        and body.tool_choice in (None, "auto")
        and kinds.keys() <= _KINDS
        and kinds[_CALL] == kinds[_OUTPUT]
        and not any(item.get("namespace") or _refers(item) for item in own)
        and all(
            bound.kind == "function" and bound.name == name
            for name, bound in toolbox.bindings.items()
        )
    )


def _refers(item: Object) -> bool:
    """True if a part names a file that lies elsewhere, which somebody would have to fetch."""
    for content in (item.get("content"), item.get("output")):
        for part in content if isinstance(content, list) else ():
            if isinstance(part, dict) and not _ELSEWHERE.isdisjoint(part):
                return True
    return False
