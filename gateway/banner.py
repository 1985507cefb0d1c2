"""What `serve` prints once it listens: keys, balances and a curl line for each family."""

from collections.abc import Iterator

from gateway.serve import Started


def banner(started: Started) -> str:
    """Several lines for whoever started it. The one place where a plaintext key is printed."""
    return "\n".join(_lines(started))


def _lines(started: Started) -> Iterator[str]:
    upstream = "the simulated upstream" if started.simulated else "a real upstream"
    yield f"Tollgate is listening on {started.url}, in front of {upstream}."
    for grant in started.grants:
        yield f"grant {grant.name}: {grant.result.reason} ({grant.result.message})"
    if not started.keys:
        return
    yield ""
    for key in started.keys:
        balance = started.balances.get(key.account, 0)
        yield f"key {key.name}: {key.plaintext}"
        yield f"    account {key.account}, balance {balance} credits"
    plaintext = started.keys[0].plaintext
    model = started.fleet.spec.models[0].id
    message = '"messages": [{"role": "user", "content": "Hello"}]'
    yield ""
    yield "Try it:"
    yield f"""
curl {started.url}/api/openai/v1/chat/completions \\
  -H 'Authorization: Bearer {plaintext}' -H 'Content-Type: application/json' \\
  -d '{{"model": "{model}", {message}}}'

curl {started.url}/api/anthropic/v1/messages \\
  -H 'x-api-key: {plaintext}' -H 'anthropic-version: 2023-06-01' \\
  -H 'Content-Type: application/json' \\
  -d '{{"model": "{model}", "max_tokens": 1024, {message}}}'
"""
    yield "Stop it with Ctrl-C; open streams are finished first."
