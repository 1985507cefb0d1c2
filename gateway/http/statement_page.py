"""A statement as a page of its own: nothing is loaded, nothing runs, and it prints on A4.

Owns its looks, and the policy that allows a browser those and nothing else.
"""

from base64 import b64encode
from collections.abc import Iterable
from hashlib import sha256
from html import escape

from gateway.core.statement import (
    Below,
    BelowLine,
    EntryKind,
    GrantLine,
    RequestLine,
    Statement,
    stamp,
)

_STYLE = """
:root { color-scheme: light; }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 46rem; padding: 1.5rem 1rem; background: #fff; color: #1a1a1a;
  font: 15px/1.45 system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif; }
h1 { margin: 0 0 .25rem; font-size: 1.5rem; overflow-wrap: anywhere; }
h2 { margin: 2rem 0 .5rem; font-size: 1.05rem; break-after: avoid; }
p { margin: 0 0 .25rem; color: #555; }
.open { color: #8a4b00; }
table { width: 100%; border-collapse: collapse; }
th, td { padding: .3rem 0; border-bottom: 1px solid #ddd; text-align: left; vertical-align: top; }
thead { display: table-header-group; }
thead th { color: #555; font-weight: 600; font-size: .85rem; }
tbody th { font-weight: 400; overflow-wrap: anywhere; }
tr { break-inside: avoid; }
.number { padding-left: .75rem; text-align: right; white-space: nowrap;
  font-variant-numeric: tabular-nums lining-nums; }
.sum th, .sum td { border-top: 1px solid #1a1a1a; font-weight: 600; }
small { display: block; color: #555; font-size: .85rem; }
@page { size: A4; margin: 18mm 16mm; }
@media print { body { max-width: none; padding: 0; font-size: 10pt; } }
""".strip()
_HASH = b64encode(sha256(f"\n{_STYLE}\n".encode()).digest()).decode()
#: for the header, too: a page may be saved, and a saved one has no headers
POLICY = f"default-src 'none'; style-src 'sha256-{_HASH}'; base-uri 'none'; form-action 'none'"
_TITLES: dict[EntryKind, str] = {
    "grant": "Grants",
    "charge": "Charges",
    "refund": "Refunds",
    "expiry": "Expiries",
    "void": "Voids",
}


def page(statement: Statement) -> str:
    """The whole document."""
    account = escape(statement.account)
    begin, end = _day(stamp(statement.period.begin)), _day(stamp(statement.period.end))
    parts = [
        "<!doctype html>",
        '<html lang="en"><head><meta charset="utf-8">',
        f'<meta http-equiv="content-security-policy" content="{POLICY}">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>Statement of {account}, {begin} to {end}</title>",
        f"<style>\n{_STYLE}\n</style></head><body><main>",
        f"<h1>{account}</h1>",
        f"<p>Statement of credits from {begin} to before {end}, UTC</p>",
    ]
    if not statement.is_closed:
        parts.append('<p class="open">Not closed yet: entries may still be added.</p>')
    parts += [_summary(statement)]
    for kind in ("grant", "expiry", "void"):
        parts.append(_grants(statement, kind))
    parts.append(_requests("Charges by key and model", statement.charges))
    parts.append(_requests("Refunds by key and model", statement.refunds))
    if statement.below is not None:
        parts.append(_below(statement.below))
    parts.append("</main></body></html>\n")
    return "\n".join(part for part in parts if part)


def _summary(statement: Statement) -> str:
    rows = [
        _row("Opening balance", grouped(statement.opening)),
        *(_row(title, grouped(statement.totals[kind])) for kind, title in _TITLES.items()),
    ]
    closing = _row("Closing balance", grouped(statement.closing), kind="sum")
    return _table("Summary", ("", "Credits"), [*rows, closing])


def _grants(statement: Statement, kind: EntryKind) -> str:
    rows = [_grant(line) for line in statement.grants if line.kind == kind]
    if unlisted := statement.unlisted.get(kind):
        listed = sum(line.credits for line in statement.grants if line.kind == kind)
        rest = grouped(statement.totals[kind] - listed)
        rows.append(_row(f"{unlisted:,} others", rest))
    if not rows:
        return ""
    total = _row("Total", grouped(statement.totals[kind]), kind="sum")
    return _table(_TITLES[kind], ("Grant", "Credits"), [*rows, total])


def _grant(line: GrantLine) -> str:
    facts = [stamp(line.at) or "", f"entry {line.entry_id}"]
    if line.reference is not None:
        facts.append(f"reference {line.reference}")
    if line.expires_at is not None:
        facts.append(f"expires {stamp(line.expires_at)}")
    title = escape(line.reason or line.grant)
    if line.reason:
        facts.insert(0, line.grant)
    return _row(f"{title}<small>{escape(' · '.join(facts))}</small>", grouped(line.credits))


def _requests(title: str, lines: list[RequestLine]) -> str:
    if not lines:
        return ""
    rows = [_row(_named(line), f"{line.requests:,}", grouped(line.credits)) for line in lines]
    total = _row(
        "Total",
        f"{sum(line.requests for line in lines):,}",
        grouped(sum(line.credits for line in lines)),
        kind="sum",
    )
    return _table(title, ("Key and model", "Requests", "Credits"), [*rows, total])


def _below(below: Below) -> str:
    rows = [_below_row(escape(line.account), line) for line in below.lines]
    rows.append(_below_row("Total", below.total, kind="sum"))
    heads = ("Account", "Charges", "Refunds", "Credits")
    until = stamp(below.complete_until) or ""
    note = f"<p>In none of the balances above. Counted up to {until}, by the tree as it is now.</p>"
    return f"{_table('Accounts below', heads, rows)}\n{note}"


def _below_row(name: str, line: BelowLine, kind: str = "") -> str:
    numbers = (line.charges, line.refunds, line.credits)
    return _row(name, *map(grouped, numbers), kind=kind)


def _named(line: RequestLine) -> str:
    if line.key is None and line.model is None:
        return "All others"
    facts = " · ".join(fact for fact in (line.model, line.key_id) if fact)
    return f"{escape(line.key or 'unknown key')}<small>{escape(facts)}</small>"


def _table(title: str, heads: tuple[str, ...], rows: Iterable[str]) -> str:
    first, *others = heads
    head = f'<th scope="col">{first}</th>' if first else "<td></td>"
    head += "".join(f'<th scope="col" class="number">{each}</th>' for each in others)
    body = "\n".join(rows)
    return (
        f"<h2>{title}</h2>\n<table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody>\n"
        "</table>"
    )


def _row(name: str, *numbers: str, kind: str = "") -> str:
    cells = "".join(f'<td class="number">{number}</td>' for number in numbers)
    start = f'<tr class="{kind}">' if kind else "<tr>"
    return f'{start}<th scope="row">{name}</th>{cells}</tr>'


def grouped(credits: int) -> str:
    """Digits in groups, with a real minus.

    >>> grouped(-1234567)
    '−1,234,567'
    """
    return f"{credits:,}".replace("-", "\N{MINUS SIGN}")


def _day(text: str | None) -> str:
    """A moment without its time where that is midnight."""
    return (text or "").removesuffix("T00:00:00Z")
