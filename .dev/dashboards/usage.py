"""Usage: requests, tokens and credits by account, key and model."""

from dashboards.board import Json, board, namespace, variable
from dashboards.panels import BLUE, GREEN, ORANGE, PURPLE, STATUSES, YELLOW, figure, graph, table
from dashboards.queries import rate

_ACCOUNTS = 'namespace=~"$namespace",account=~"$team(/.*)?",account=~"$account"'
_WHO = f'{_ACCOUNTS},key=~"$key",model=~"$model"'
_REQUESTS = f"faregate_requests_total{{{_WHO}}}"
_OVER = "in the time shown"


def _rate(by: str, more: str = "") -> str:
    """Requests a second."""
    return rate("faregate_requests_total", _WHO + more, by)


def _tokens(direction: str) -> str:
    return f'faregate_tokens_total{{{_WHO},direction="{direction}"}}'


def _credits(kind: str) -> str:
    return f'faregate_credits_total{{{_WHO},kind="{kind}"}}'


def _net(labels: str, function: str, window: str) -> str:
    """Credits charged less those refunded."""
    charged = _credits("charge")
    refunded = f'faregate_credits_total{{{_WHO},kind=~"refund|refund_unused"}}'
    by = f"sum by ({labels}) "
    return f"{by}({function}({charged}[{window}])) - {by}({function}({refunded}[{window}]))"


def usage() -> Json:
    return board(
        "usage",
        "Faregate: usage",
        "Requests, tokens and credits by account, key and model. Sums over time are estimates of "
        "Prometheus; what an account has and had is in the ledger.",
        [
            namespace("faregate_requests_total"),
            variable(
                "team",
                "Namespace",
                'label_values(faregate_requests_total{namespace=~"$namespace"}, account)',
                "The namespace that accounts and keys belong to.",
                regex="/^([^/]+)\\/.*$/",
            ),
            variable(
                "account",
                "Account",
                'label_values(faregate_requests_total{namespace=~"$namespace",'
                'account=~"$team(/.*)?"}, account)',
                "Who pays, with its namespace.",
            ),
            variable(
                "key",
                "Key",
                f"label_values(faregate_requests_total{{{_ACCOUNTS}}}, key)",
                "An ApiKey, with its namespace.",
            ),
            variable(
                "model",
                "Model",
                'label_values(faregate_requests_total{namespace=~"$namespace"}, model)',
                "The name that clients send.",
            ),
        ],
        {
            "In the time shown": _figures(),
            "Who spends": _tables(),
            "Over time": _graphs(),
            "Tokens": _token_graphs(),
            "What was refused": _refusals(),
        },
        since="now-24h",
    )


def _figures() -> list[Json]:
    return [
        figure("Requests", f"Answered {_OVER}.", f"sum(increase({_REQUESTS}[$__range]))", "locale"),
        figure(
            "Credits spent",
            f"Charged less refunded, {_OVER}.",
            f"sum({_net('account', 'increase', '$__range')})",
            "locale",
        ),
        figure(
            "Refunded",
            f"Credits given back {_OVER}, for requests that failed.",
            f"sum(increase({_credits('refund')}[$__range]))",
            "locale",
        ),
        figure(
            "Input tokens",
            f"As the upstreams reported them {_OVER}.",
            f"sum(increase({_tokens('input')}[$__range]))",
            "short",
        ),
        figure(
            "Output tokens",
            f"As the upstreams reported them {_OVER}.",
            f"sum(increase({_tokens('output')}[$__range]))",
            "short",
        ),
        figure(
            "Keys in use",
            f"That were charged {_OVER}.",
            f"count(sum by (key) (increase({_credits('charge')}[$__range])) > 0)",
            "locale",
        ),
    ]


def _tables() -> list[Json]:
    def by(labels: str, title: str, names: dict[str, str], width: int) -> Json:
        return table(
            title,
            f"{_OVER.capitalize()}, the ones that spend most on top.",
            {
                "Credits": (_net(labels, "increase", "$__range"), "locale"),
                "Requests": (f"sum by ({labels}) (increase({_REQUESTS}[$__range]))", "locale"),
                "Input": (f"sum by ({labels}) (increase({_tokens('input')}[$__range]))", "short"),
                "Output": (f"sum by ({labels}) (increase({_tokens('output')}[$__range]))", "short"),
            },
            names=names,
            sort="Credits",
            width=width,
        )

    return [
        by("account", "Accounts", {"account": "Account"}, 8),
        by("key, account", "Keys", {"key": "Key", "account": "Account"}, 9),
        by("model", "Models", {"model": "Model"}, 7),
    ]


def _graphs() -> list[Json]:
    def net(label: str) -> str:
        inner = _net(label, "rate", "$__rate_interval")
        return f"topk(10, 60 * ({inner}))"

    return [
        graph(
            "Credits a minute, by account",
            "Charged less refunded; the ten that spend most.",
            {"{{account}}": net("account")},
            "short",
            stacked=True,
        ),
        graph(
            "Credits a minute, by key",
            "Charged less refunded; the ten that spend most.",
            {"{{key}}": net("key")},
            "short",
            stacked=True,
        ),
        graph(
            "Credits a minute, by model",
            "Charged less refunded.",
            {"{{model}}": net("model")},
            "short",
            stacked=True,
        ),
        graph(
            "Requests, by account",
            "The ten that ask most.",
            {"{{account}}": f"topk(10, {_rate('account')})"},
            "reqps",
        ),
        graph(
            "Requests, by model and route",
            "A route is the protocol that clients speak, or `free`.",
            {"{{model}} {{route}}": _rate("model, route")},
            "reqps",
        ),
        graph(
            "Balance, by account",
            "What accounts can spend now; the ten that have least.",
            {
                "{{account}}": (
                    "bottomk(10, max by (account) "
                    f"(faregate_account_balance_credits{{{_ACCOUNTS}}}))"
                )
            },
            "locale",
            without="The operator is not scraped",
        ),
    ]


def _token_graphs() -> list[Json]:
    def by_model(direction: str) -> str:
        return f"sum by (model) (rate({_tokens(direction)}[$__rate_interval]))"

    def share(part: str, whole: str) -> str:
        return f"{by_model(part)} / ({by_model(whole)} > 0)"

    answered = _rate("model", ',code="200",route!="free"')

    return [
        graph(
            "Tokens a second",
            "Cached and cache-written tokens are parts of the input, reasoning of the output.",
            {
                name: f"sum (rate({_tokens(name)}[$__rate_interval]))"
                for name in ("input", "cached", "cache_write", "output", "reasoning")
            },
            "short",
            colours={
                "input": BLUE,
                "cached": GREEN,
                "cache_write": ORANGE,
                "output": PURPLE,
                "reasoning": YELLOW,
            },
        ),
        graph(
            "Output tokens a request, by model",
            "Tokens of answers by the requests that were answered with 200.",
            {"{{model}}": f"{by_model('output')} / ({answered} > 0)"},
            "short",
        ),
        graph(
            "Shares of cache and reasoning, by model",
            "Cached tokens of the input, and tokens of reasoning of the output.",
            {
                "{{model}} cached": share("cached", "input"),
                "{{model}} reasoning": share("reasoning", "output"),
            },
            "percentunit",
            highest=1,
            without="No model reports either",
        ),
    ]


def _refusals() -> list[Json]:
    def refused(code: str, label: str) -> str:
        return "topk(10, " + _rate(label, f',code="{code}"') + ")"

    return [
        graph(
            "Answers, by status",
            "402: no credits. 429: over a limit of the key. 499: the client left.",
            {"{{code}}": _rate("code")},
            "reqps",
            stacked=True,
            colours=STATUSES,
        ),
        graph(
            "Out of credits, by account",
            "Requests answered with 402.",
            {"{{account}}": refused("402", "account")},
            "reqps",
            without="Nobody",
        ),
        graph(
            "Over a limit, by key",
            "Requests answered with 429.",
            {"{{key}}": refused("429", "key")},
            "reqps",
            without="Nobody",
        ),
    ]
