"""The docs against the code: everything that the code offers has its row, and no row offers more.

A test here fails where a setting, flag, field, error, metric, header, route, directive or outcome
is missing from the docs, or has another default there. `test_docs_examples` runs the snippets.
"""

import argparse
import ast
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any, get_args

import msgspec
import pytest
import yaml
from msgspec import inspect
from prometheus_client.parser import text_string_to_metric_families

import gateway.core.errors
from gateway.__main__ import _parser
from gateway.console.api.application import account_app
from gateway.core.concurrency.worker_thread import WorkerThread
from gateway.core.credits import Lot, Lots, add_lot, reconcile_lots, take_lot
from gateway.core.degraded import FEATURES
from gateway.core.errors import Failure, FaregateError, GatewayError, RequestError
from gateway.core.keys import secret_values
from gateway.core.prices import Bill, Price, Rates
from gateway.core.seal import Sealer
from gateway.core.spec import Metadata, parse_document
from gateway.core.upstream_profiles import ALL_PROFILES
from gateway.dialects.base import Dialect
from gateway.dialects.chat.dialect import ChatDialect
from gateway.dialects.embeddings.dialect import EmbeddingsDialect
from gateway.dialects.messages.dialect import MessagesDialect
from gateway.dialects.responses.dialect import ResponsesDialect
from gateway.http.routes.account import shown_price
from gateway.http.routes.application import protocol_app
from gateway.http.routes.operations import Operations
from gateway.process.router import charged_paths
from gateway.process.settings import Settings, UpstreamOverride
from gateway.store.audit_rounds import AuditRound
from gateway.store.balances import AccountBalance
from gateway.store.change_log import ChangeKind
from gateway.store.grant_result import GrantReason
from gateway.store.ledger import Outcome
from gateway.store.tables import Entry
from gateway.telemetry.metric_families import COUNTERS, GAUGES, HISTOGRAMS
from gateway.telemetry.metrics import Metrics
from gateway.upstream.simulated.script import DIRECTIVES, SCOPES
from gateway_operator.metrics import OperatorMetrics as OperatorMetrics
from gateway_operator.resources import account, apikey, creditallowance, creditgrant, fleet
from gateway_operator.settings import OperatorSettings
from tests.crds.support import CRDS, Json, schema
from tests.harness.pages import (
    DOCS,
    PAGES,
    ROOT,
    anchors,
    blocks,
    code_of,
    coded,
    columns,
    section,
    tables,
    without_blocks,
)
from tests.pictures import layers

#: byte strings in the code of HTTP that look like header names: everybody's, and values
NOT_DOCUMENTED = {"content-length", "content-type", "cache-control", "bearer", "identity"} | {
    "no-cache", "no", "true", "false", "connection", "close", "host", "expect", "upgrade",
    "transfer-encoding", "chunked",
}  # fmt: skip

#: each has a plainer word: send, report, show, log; anyone, any; again; expensive; except
NOT_PLAIN = re.compile(r"\b(?:told|tells?|whoever|whatever|anew|dear|but\s+for)\b", re.I)

#: kinds in the headings of resources.md
ARTICLES = {
    "Account": "an Account", "ApiKey": "an ApiKey", "CreditAllowance": "a CreditAllowance",
    "CreditGrant": "a CreditGrant", "GatewayFleet": "a GatewayFleet",
}  # fmt: skip

#: each row of the outcome table, and the test that shows it
PROOFS = {
    "refused by the gateway": "refused_by_us_costs_nothing",
    "the gateway fails, or loses the client": "a_client_that_leaves_before_dispatch_is_refunded",
    "upstream unreachable": "an_upstream_that_fails_before_its_first_byte_is_refunded",
    "another upstream": "another_upstream_answers_for_one_that_failed_and_is_charged_once",
    "upstream breaks": "an_upstream_that_breaks_after_its_first_byte_is_refunded",
    "all content": "what_nests_deeply_is_refused_or_answered_and_charged",
    "complete answer": "a_complete_answer_is_charged",
    "client leaves": "a_client_that_leaves_a_stream_has_paid_and_the_upstream_is_cut",
    "the time to drain": "when_the_time_to_drain_is_over_streams_are_cut_and_refunded",
    "replica dies": "a_killed_gateway_starts_again_with_its_books_right",
}


def shown(value: Any) -> str:
    """A default as the docs write it."""
    if value is None:
        return "–"
    if value == "":
        return '`""`'
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    return f"`{value:g}`" if isinstance(value, float) else f"`{value}`"


def default_of(field: inspect.Field) -> str:
    if field.default is not msgspec.NODEFAULT:
        return shown(field.default)
    return "required" if field.required else shown(field.default_factory())


def fields(kind: Json, path: str = "") -> Iterator[tuple[str, list[str]]]:
    """Path, default and bounds of every field of a schema that holds a value."""
    for name, inner in kind["properties"].items():
        default = "required" if name in kind.get("required", ()) else shown(inner.get("default"))
        is_list = inner["type"] == "array"
        many = f"up to {inner['maxItems']}, " if is_list else ""
        path_of_it, value = (f"{path}{name}[]", inner["items"]) if is_list else (path + name, inner)
        if "properties" in value:
            yield from fields(value, f"{path_of_it}.")
        else:
            yield path_of_it, [default, many + bounds(value)]


def bounds(kind: Json) -> str:
    """A schema's rule for a value, as the docs write it."""
    match kind:
        case {"enum": words}:
            return ", ".join(f"`{word}`" for word in words)
        case {"type": "integer", "minimum": least, "maximum": most}:
            return f"{power(least)}–{power(most)}"
        case {"format": "date-time"}:
            return "a time"
        case {"type": "string"}:
            return f"{kind.get('minLength', 0)}–{kind['maxLength']} characters"
        case {"type": "boolean"}:
            return "`true`, `false`"
        case {"maxProperties": many}:
            return f"up to {many}"
    return "–"


def power(number: int) -> str:
    """A number; large ones are powers of ten."""
    digits = str(number)
    if number < 10**6:
        return digits
    assert digits.strip("0") == "1"
    return "10" + str(len(digits) - 1).translate(str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹"))


def variables(kind: type, prefix: str) -> dict[str, str]:
    return {
        f"{prefix}{field.name.upper()}": shown(field.default)
        for field in msgspec.structs.fields(kind)
    }


def dialects() -> list[Dialect]:
    sealer = Sealer(bytes(32))
    return [
        ChatDialect(WorkerThread()),
        ResponsesDialect(sealer, None, WorkerThread()),
        MessagesDialect(sealer, WorkerThread()),
        EmbeddingsDialect(WorkerThread()),
    ]


def test_every_environment_variable() -> None:
    ours, upstream = tables(section("reference/settings.md", "Environment"))
    assert columns(ours, 1) == variables(Settings, "FAREGATE_")
    assert columns(upstream, 1) == variables(UpstreamOverride, "UPSTREAM_")


def test_every_environment_variable_of_the_operator() -> None:
    documented = columns(tables(section("reference/settings.md", "The operator"))[0], 1)
    expected = {
        f"FAREGATE_{field.name.upper()}": "required"
        if field.required
        else shown(int(default) if isinstance(default := field.default, float) else default)
        for field in msgspec.structs.fields(OperatorSettings)
    }
    assert documented == expected


def test_every_metric_of_the_operator() -> None:
    metrics = OperatorMetrics()
    metrics.read_accounts([AccountBalance("team/alice", 1, 2)])
    metrics.audited(AuditRound((), 0, 0, 0, 0), 0.1)
    metrics.saw_objects({("ApiKey", "Issued"): 1})
    metrics.saw_fleet("main", True, None)
    exposed = {}
    for family in text_string_to_metric_families(metrics.exposition().decode()):
        name = f"{family.name}_total" if family.type == "counter" else family.name
        if not name.startswith("process_"):
            exposed[name] = {label for one in family.samples for label in one.labels} - {"le"}
    (rows,) = tables(section("reference/metrics.md", "Metrics of the operator"))
    assert {name: coded(cell) for name, cell in columns(rows, 1).items()} == exposed


def files(command: argparse.ArgumentParser) -> str:
    """The values of a command without a flag."""
    return " ".join(str(each.metavar) for each in command._actions if not each.option_strings)


def commands_of(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    """The parsers of all commands, those with two words too."""
    groups = [a for a in parser._actions if isinstance(a, argparse._SubParsersAction)]
    found = {name: each for group in groups for name, each in group.choices.items()}
    inner = {name: commands_of(each) or {"": each} for name, each in found.items()}
    return {f"{a} {b}".strip(): each for a, under in inner.items() for b, each in under.items()}


def test_every_command_and_flag() -> None:
    parsers = commands_of(_parser())
    flags: dict[str, tuple[list[str], list[str]]] = {}
    for command, subparser in parsers.items():
        for action in subparser._actions:
            if action.dest != "help" and action.option_strings:
                commands, defaults = flags.setdefault(action.option_strings[0], ([], []))
                commands.append(f"`{command}`")
                defaults.append("required" if action.required else shown(action.default))
    documented_commands, documented_flags = tables(section("reference/settings.md", "Commands"))
    written = {row[0].strip("`") for row in documented_commands}
    assert written == {f"{name} {files(each)}".strip() for name, each in parsers.items()}
    assert columns(documented_flags, 1, 2) == {
        flag: [", ".join(commands), ", ".join(dict.fromkeys(defaults))]
        for flag, (commands, defaults) in flags.items()
    }


@pytest.mark.parametrize("kind", sorted(CRDS))
def test_every_field_of_a_spec(kind: str) -> None:
    documented = columns(tables(section("reference/resources.md", kind))[0], 1, 2)
    assert documented == dict(fields(schema(kind)["properties"]["spec"]))


@pytest.mark.parametrize("kind", sorted(CRDS))
def test_every_field_of_a_status(kind: str) -> None:
    shared = columns(tables(section("reference/resources.md", "The resources"))[1], 0)
    own = columns(tables(section("reference/resources.md", f"Status of {ARTICLES[kind]}"))[0], 0)
    assert not shared.keys() & own.keys()
    reported = {path for path, _ in fields(schema(kind)["properties"]["status"])}
    assert shared.keys() | own.keys() == reported


@pytest.mark.parametrize(
    ("kind", "reasons"),
    [
        ("Account", account.AccountObjectReason),
        ("ApiKey", apikey.ApiKeyReason),
        ("CreditAllowance", creditallowance.CreditAllowanceReason),
        ("CreditGrant", creditgrant.CreditGrantReason),
        ("GatewayFleet", fleet.FleetReason),
    ],
)
def test_every_reason_of_a_condition(kind: str, reasons: type[StrEnum]) -> None:
    (rows,) = tables(section("reference/resources.md", f"Reasons of {ARTICLES[kind]}"))
    assert {row[0].strip("`") for row in rows} == {reason.value for reason in reasons}
    for reason, ready, stalled, cause, cure in rows:
        assert {ready, stalled} <= {"True", "False"}, reason
        assert (ready, stalled) != ("True", "True"), reason
        assert cause != "–", reason
        assert ready == "True" or cure != "–", reason


def test_every_event() -> None:
    """Those that are no reason of a condition: announced by a plan, or a `REASON` of their own."""
    posted = set()
    for path in (ROOT / "operator").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            match node:
                case ast.Call(func=ast.Name("Announce"), args=[ast.Constant(str(name)), *_]):
                    posted.add(name)
                case ast.Assign(targets=[ast.Name("REASON")], value=ast.Constant(str(name))):
                    posted.add(name)
                case ast.Assign(targets=[ast.Name("REASONS")], value=ast.Dict(values=names)):
                    posted |= {ast.literal_eval(name) for name in names}
    assert columns(tables(section("reference/resources.md", "Events"))[0], 0).keys() == posted


def test_the_examples_of_the_docs_are_those_of_the_folder() -> None:
    """Each example on the page is a part of the file that shows more."""
    files = [
        yaml.safe_load(path.read_text("utf-8")) for path in (ROOT / "examples/cluster").glob("*")
    ]
    for block in blocks((DOCS / "reference/resources.md").read_text("utf-8"), "yaml"):
        example = yaml.safe_load(block)
        (file,) = (one for one in files if one["metadata"] == example["metadata"])
        assert example["kind"] == file["kind"]
        assert example["spec"].keys() <= file["spec"].keys()


def test_every_field_around_a_spec() -> None:
    documented = columns(tables(section("how-to/run-without-kubernetes.md", "The file"))[0], 1)
    around = {"apiVersion": "required", "kind": "required"}
    metadata = inspect.type_info(Metadata)
    assert isinstance(metadata, inspect.StructType)
    read = {f"metadata.{field.encode_name}": default_of(field) for field in metadata.fields}
    assert documented == around | read


def test_every_profile_and_its_parameters() -> None:
    families = tables(section("reference/profiles.md", "Families"))[0]
    assert set().union(*(coded(row[0]) for row in families)) == ALL_PROFILES.keys()
    rows = tables(section("reference/profiles.md", "Parameters"))[0]
    taken = {name: coded(row[1]) for row in rows for name in coded(row[0])}
    assert taken == {name: set(profile.parameters) for name, profile in ALL_PROFILES.items()}


def test_every_example_document_is_valid() -> None:
    given = [block for path in PAGES for block in blocks(path.read_text("utf-8"), "yaml")]
    documents = [document for block in given for document in yaml.safe_load_all(block)]
    assert documents
    for document in documents:
        parse_document(document)


def test_every_error_in_both_families() -> None:
    abstract = (FaregateError, RequestError, GatewayError)
    expected = {
        kind.__name__: [
            " / ".join(str(s) for s in (kind.status, kind.anthropic_status) if s is not None),
            f"`{kind.openai_type}`",
            shown(kind.code),
            f"`{kind.anthropic_type}`",
            "yes" if kind.retryable else "no",
        ]
        for kind in vars(gateway.core.errors).values()
        if isinstance(kind, type) and issubclass(kind, FaregateError) and kind not in abstract
    }
    assert columns(tables(section("reference/api.md", "Errors"))[0], 1, 2, 3, 4, 5) == expected


def test_the_drawn_tree_of_errors_is_the_tree() -> None:
    def branches(kind: type[FaregateError], depth: int) -> Iterator[tuple[int, str]]:
        yield depth, kind.__name__
        for each in kind.__subclasses__():
            yield from branches(each, depth + 1)

    drawn = re.findall(r"^    ([│├└─ ]*)([A-Z]\w+)", gateway.core.errors.__doc__ or "", re.M)
    assert [(len(lines) // 4, name) for lines, name in drawn] == list(branches(FaregateError, 0))


def test_every_metric_with_its_labels_and_their_values() -> None:
    declared = {
        **{f"faregate_{name}_total": labels for name, (_, labels) in COUNTERS.items()},
        **{f"faregate_{name}": labels for name, (_, labels) in GAUGES.items()},
        **{f"faregate_{name}_seconds": labels for name, (_, labels, _) in HISTOGRAMS.items()},
    }
    of_metrics, of_labels = tables(section("reference/metrics.md", "Health and metrics"))[1:]
    documented = {name: coded(cell) for name, cell in columns(of_metrics, 1).items()}
    assert documented == {name: set(labels) for name, labels in declared.items()}
    values = {
        "route": {"free", *(d.name for d in dialects())},
        "direction": {"input", "cached", "cache_write", "output", "reasoning"},
        "kind": {"charge", "refund", "refund_unused", "uncollected"},
        "class": set(get_args(Failure)),
        "feature": set(FEATURES),
    }
    found = {name: coded(row[1]) for row in of_labels for name in coded(row[0])}
    assert {label: found[label] for label in values} == values
    assert found.keys() == set().union(*declared.values())


def test_every_part_of_a_price() -> None:
    """The parts of a request's bill, and those of a model's price."""
    (rows,) = tables(section("reference/api.md", "One request's credits"))
    parts = {*Bill.__struct_encode_fields__} - {"credits"}
    assert coded(columns(rows, 1)["price"]) - {"null"} == parts
    price = shown_price(Price(1, 1, (Rates(),)))
    assert coded(section("reference/api.md", "Models")) >= {*price, *price["rows"][0]}


def test_every_header_is_documented_for_clients() -> None:
    sources = [
        p for part in ("process", "http", "pipeline") for p in ROOT.glob(f"gateway/{part}/**/*.py")
    ]
    parts = [section("reference/api.md", "Headers")]
    parts += [section("how-to/connect-a-client.md", "Key and URLs")]
    documented = {
        name.lower().split(":")[0] for part in parts for name in coded(without_blocks(part))
    }
    for path in [*sources, ROOT / "gateway/dialects/errors.py"]:
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            value = node.value if isinstance(node, ast.Constant) else None
            if isinstance(value, bytes) and re.fullmatch(rb"[a-z]+(-[a-z]+)*", value):
                name = value.decode()
                assert name in documented | NOT_DOCUMENTED, f"{path.name}: {name}"


def test_every_variable_in_the_secret_of_a_key() -> None:
    documented = tables(section("how-to/connect-a-client.md", "Key and URLs"))[0]
    for name, value in secret_values("sk-…", "http://127.0.0.1:8080").items():
        assert [value in coded(row[1]) for row in documented if name in coded(row[0])] == [True], (
            name
        )


def test_every_route() -> None:
    served = {
        f"{method.upper()} {path}"
        for app in (protocol_app(None), account_app(None))
        for path, methods in app.openapi()["paths"].items()
        for method in methods
    }
    served |= {f"POST {path}" for path in charged_paths(dialects())}
    documented = {
        f"{method} {path}"
        for row in tables(section("reference/api.md", "Routes"))[0]
        for path in re.findall(r"/[\w/{}]+", row[0])
        for method in re.findall(r"[A-Z]+", row[0])
    }
    assert documented == {route for route in served if "/v1/v1" not in route}
    operations = Operations(Metrics(), lambda: None).routes
    found = columns(tables(section("reference/metrics.md", "Health and metrics"))[0], 1)
    assert found.keys() == operations.keys()


def test_every_directive_of_the_simulated_upstream() -> None:
    documented = tables(section("reference/simulated.md", "Directives"))[0]
    assert {row[0].strip("`").split()[0] for row in documented} == {*DIRECTIVES, *SCOPES, "!then"}


def test_every_outcome_has_a_row_and_a_proof() -> None:
    rows = [row[0] for row in tables(section("explanation/credits.md", "Who pays"))[0]]
    tests = "\n".join(path.read_text("utf-8") for path in ROOT.glob("tests/*/test_*.py"))
    assert len(rows) == len(PROOFS)
    for row, (beginning, proof) in zip(rows, PROOFS.items(), strict=True):
        assert row.startswith(beginning)
        assert f"def test_{proof}(" in tests, f"the proof of {beginning!r} is gone"


def test_every_kind_of_event() -> None:
    (rows, *_) = tables(section("reference/api.md", "Events"))
    assert set().union(*(coded(row[0]) for row in rows)) == set(get_args(ChangeKind))


def test_every_word_of_the_ledger() -> None:
    constraints = Entry.metadata.tables["entry"].constraints
    (sign,) = (str(c.sqltext) for c in constraints if c.name == "entry_sign")  # type: ignore[attr-defined]  # a CheckConstraint
    kinds = columns(tables(section("explanation/credits.md", "Credits"))[0], 1)
    assert kinds.keys() == set(re.findall(r"'(\w+)'", sign))
    verdicts = columns(tables(section("explanation/credits.md", "The order"))[0], 1)
    assert verdicts.keys() == set(get_args(Outcome))
    results = columns(tables(section("explanation/credits.md", "Grants"))[0], 1)
    assert results.keys() == set(get_args(GrantReason))


def test_the_worked_example_is_what_the_rules_state() -> None:
    a, b, c = Lot(1, 100, datetime(2027, 3, 1, tzinfo=UTC)), Lot(2, 50), Lot(3, 10)
    rows: list[list[str]] = []

    def note(entry: int, balance: int, *left: int | str) -> None:
        sign = "+" if entry > 0 else "−"
        rows.append([f"{sign}{abs(entry)}", str(balance), *map(str, left)])

    lots = add_lot(Lots(()), a)
    note(100, 100, 100, "", "", 0)
    lots = add_lot(reconcile_lots(lots, 100), b)
    note(50, 150, 100, 50, "", 0)
    note(-80, 70, 100, 50, "", 0)
    lots, expired = take_lot(reconcile_lots(lots, 70), a.grant_id)
    note(-expired, lots.total, 0, lots.remaining(b.grant_id), "", lots.surplus)
    note(2, 52, 0, lots.remaining(b.grant_id), "", lots.surplus)
    lots = add_lot(reconcile_lots(lots, 52), c)
    note(10, lots.total, 0, lots.remaining(b.grant_id), lots.remaining(c.grant_id), lots.surplus)
    lots, voided = take_lot(reconcile_lots(lots, 62), b.grant_id)
    note(-voided, lots.total, 0, 0, lots.remaining(c.grant_id), lots.surplus)
    assert [row[1:] for row in tables(section("explanation/credits.md", "Grants"))[1]] == rows


@pytest.mark.parametrize(
    ("number", "package"),
    [(0, "gateway"), (1, "operator/gateway_operator")],
    ids=["gateway", "operator"],
)
def test_every_part_is_on_the_map(number: int, package: str) -> None:
    parts = {path.stem for path in (ROOT / package).glob("*.py")} - {"__init__"}
    parts |= {path.parent.name for path in (ROOT / package).glob("*/__init__.py")}
    documented = tables(section("explanation/architecture.md", "The parts, from the outside in"))[
        number
    ]
    assert set().union(*(coded(row[0]) for row in documented)) == parts


def test_every_command_of_the_makefile() -> None:
    targets = set(re.findall(r"^([\w-]+):.*##", (ROOT / "Makefile").read_text("utf-8"), re.M))
    contributing = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
    assert set(re.findall(r"^\| `make ([\w-]+)`", contributing, re.M)) == targets - {"help"}
    for path in PAGES:
        for command in re.findall(r"^(?:.* )?make ([\w-]+)", code_of(path), re.M):
            assert command in targets, f"{path.name}: make {command}"


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_every_link_and_every_path_leads_somewhere(path: Path) -> None:
    text = without_blocks(path.read_text("utf-8"))
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        name, _, anchor = target.partition("#")
        found = (path.parent / name).resolve() if name else path
        assert target.startswith("https://") or found.exists(), target
        assert not anchor or anchor in anchors(found), target
    for name in re.findall(r"`((?:gateway|tests|docs|examples|\.dev|\.ci)/[\w./-]*\w)", text):
        assert (ROOT / name).exists(), name


def test_what_holds_somebody_in_the_threat_model_is_a_test_that_is_there() -> None:
    text = (DOCS / "explanation/threat-model.md").read_text("utf-8")
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", text)
    assert len(named) > 20
    for path, name in named:
        assert f"def {name}(" in (ROOT / path).read_text("utf-8"), f"{path}::{name}"


def test_the_readme_fits_one_screen_and_begins_with_the_two_commands() -> None:
    text = (ROOT / "README.md").read_text("utf-8")
    assert len(text.splitlines()) <= 60
    assert text.index("make run") < text.index("make test") < 1500
    assert "docs/index.md" in text


def test_the_docs_use_plain_words() -> None:
    """Words that make a reader look twice; quoted ones stand between backticks."""
    pages = (path for path in PAGES if path.name != "CHANGELOG.md")
    found = {
        f"{path.name}: {match.group()}"
        for path in pages
        for match in NOT_PLAIN.finditer(re.sub(r"`[^`]*`", "", without_blocks(path.read_text())))
    }
    assert found == set()


def test_every_page_is_in_a_folder_by_need_and_on_the_map() -> None:
    """The runbooks are listed with their alerts."""
    linked = re.findall(r"\]\(([\w/-]+\.md)(?:#[\w-]+)?\)", (DOCS / "index.md").read_text("utf-8"))
    pages = {str(path.relative_to(DOCS)) for path in PAGES if path.is_relative_to(DOCS)}
    runbooks = {name for name in pages if name.startswith("reference/runbooks/")}
    assert pages - runbooks - {"index.md"} == set(linked)
    needs = {"tutorial", "how-to", "reference", "explanation"}
    assert {name.split("/")[0] for name in linked} == needs


def test_the_picture_of_the_layers_is_the_contract() -> None:
    drawn = (DOCS / "pictures/layers.svg").read_text("utf-8")
    assert drawn == layers.draw(), "run `make pictures`"
