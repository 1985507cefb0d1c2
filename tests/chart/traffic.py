"""Traffic that moves the metrics: good answers of all kinds, and every way to go wrong."""

from collections import Counter
from typing import Any

import httpx

from tests.harness.dialects import DIALECTS, PATHS, body, reasoning

#: what goes well: text of the user, members of the request
_GOOD: list[tuple[str, dict[str, Any]]] = [
    ("Hello", {}),
    ("!cached 3\nHello again, at some length", {"stream": True}),
    ("!chunks 20 5", {"stream": True}),
    ("!finish nobody_knows", {}),
]
#: what the upstream does wrong, before its first byte and after it
_BAD = ("!error 500", "!error 429", "!error 401", "!error 400", "!hang-up", "!cut 3")


def ask_everything(
    http: httpx.Client, key: str, *, without_credits: str, with_a_limit: str
) -> Counter[int]:
    """One round of it; how often each status came."""
    statuses: Counter[int] = Counter()

    def ask(key: str, text: str, dialect: str = "chat", **more: Any) -> None:
        answer = http.post(
            PATHS[dialect], json=body(dialect, text, **more), headers={"x-api-key": key}
        )
        statuses[answer.status_code] += 1

    for dialect in DIALECTS:
        for text, more in _GOOD:
            ask(key, text, dialect, **more)
        ask(key, "Think!", dialect, **reasoning(dialect))
    ask(key, "Hello", temperature=0.3)
    for _ in range(2):
        ask(with_a_limit, "Hello")
    ask(without_credits, "Hello")
    ask("sk-nobody", "Hello")
    for text in _BAD:
        ask(key, text, stream=True)
    listed = http.get("/api/openai/v1/models", headers={"x-api-key": key})
    statuses[listed.status_code] += 1
    return statuses
