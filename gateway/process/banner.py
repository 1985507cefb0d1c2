"""The output of `serve` and `apply`: keys, balances and a curl line for each family.

Plaintext keys are for a terminal, or printed on request; else the file is named that holds one.
Other systems keep the output of a container.
"""

from collections.abc import Iterator
from shlex import quote

from gateway.process.assembly import Started
from gateway.process.standalone.applied import Applied, KeyReport


def banner(started: Started, *, show_keys: bool) -> str:
    """Several lines for the person who started the gateway. The one place where a plaintext key is
    printed."""
    return "\n".join(_lines(started, show_keys))


def report(applied: Applied) -> str:
    """The same for the person who applied a file beside a running gateway, without a key."""
    lines = [*_grants(applied)]
    lines += [f"key {key.name}: {_place(key)}" for key in applied.keys]
    lines += [f"key {name}: revoked" for name in applied.revoked]
    lines += [applied.warning] if applied.warning else []
    return "\n".join(lines)


def _lines(started: Started, show_keys: bool) -> Iterator[str]:
    upstream = "the simulated upstream" if started.simulated else "a real upstream"
    yield f"Faregate is listening on {started.url}, in front of {upstream}."
    yield f"Health and metrics are at {started.operations_url}."
    yield from _grants(started.applied)
    keys = started.applied.keys
    if started.applied.warning:
        yield started.applied.warning
    if keys:
        yield ""
    for key in keys:
        balance = started.balances.get(key.account, 0)
        yield f"key {key.name}: {key.plaintext if show_keys else _place(key)}"
        yield f"    account {key.account}, balance {balance} credits"
    if started.sign_in_link:
        yield ""
        yield "The console; this link signs in once, within ten minutes:"
        yield f"    {started.sign_in_link}"
    if not keys:
        return
    credential = keys[0].plaintext if show_keys else _substitution(keys[0])
    model = started.fleet.spec.models[0].id
    message = '"messages": [{"role": "user", "content": "Hello"}]'
    mark = "'" if show_keys else '"'
    yield ""
    yield "Try it:"
    yield f"""
curl {started.url}/api/openai/v1/chat/completions \\
  -H {mark}Authorization: Bearer {credential}{mark} -H 'Content-Type: application/json' \\
  -d '{{"model": "{model}", {message}}}'

curl {started.url}/api/anthropic/v1/messages \\
  -H {mark}x-api-key: {credential}{mark} -H 'anthropic-version: 2023-06-01' \\
  -H 'Content-Type: application/json' \\
  -d '{{"model": "{model}", "max_tokens": 1024, {message}}}'
"""
    yield "Stop it with Ctrl-C; open streams are finished first."


def _grants(applied: Applied) -> Iterator[str]:
    for grant in applied.grants:
        yield f"grant {grant.name}: {grant.result.reason} ({grant.result.message})"


def _place(key: KeyReport) -> str:
    return "brought along" if key.path is None else f"in {key.path}"


def _substitution(key: KeyReport) -> str:
    """The shell's expression in the key's place."""
    if key.path is None:
        return "$API_KEY"
    return f"$(sed -n s/^OPENAI_API_KEY=//p {quote(str(key.path))})"
