"""The house rules that a machine can see. Ruff, mypy and import-linter hold the others."""

import ast
import json
import re
import subprocess
import sys
import tokenize
import tomllib
from collections import Counter
from collections.abc import Iterable, Iterator
from functools import cache
from itertools import chain
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FILE_LINES_MAX = 500
FUNCTION_LINES_MAX = 70
PARTS_MAX = 9
DIALECTS = sorted(
    path.parent.name
    for path in (ROOT / "gateway/dialects").glob("*/__init__.py")
    if path.parent.name != "adapt"
)
UPSTREAM_FILES = {"types", "tables", "request_writer", "answer_reader", "endpoint"}
CLIENT_FILES = {"dialect", "request_reader", "answer_writer"}
#: what is made, not written
NOT_OURS = {"__pycache__", "node_modules", "dist", ".results"}
HIDDEN_BUT_OURS = {".dev", ".ci", ".github", ".locks", ".pre-commit-config.yaml", ".editorconfig"}

#: each of these is another word's concept, or an abbreviation
BANNED = re.compile(
    "tenants?|quotas?|budgets?|backends?|providers?|spend|spent|wallet|customer|reservation|deduct"
    "|topup|org|organi[sz]ation|utils?|misc|cfg|ctx|mgr|cnt|req|resp|msg"
)
#: words of our own where the trade has one: report, close, repair, connection, billing, failover …
JARGON = re.compile(
    "tells?|told|settle[sd]?|settling|mend(?:s|ed|ing)?|deeds?|lanes?|till|passages?|trips?|witness"
    "|likeness|tally|cutter|keyrings?|pok(?:e|es|ed|ing)|hush|ailments?|oddit(?:y|ies)|wish(?:es)?"
    "|shades|twins?|upkeep|pulse|say|says|said|visits?"
)
#: steps of the tests that run side by side
LANES_OF_TESTS = frozenset({"Lane", "_LANES", "lane", "lanes"})
#: members of somebody else's protocol, and the names of somebody else's classes
NOT_OUR_WORDS = frozenset({"budget_tokens", "MeterProvider", "TracerProvider"})

#: whose docstrings are plain English
PLAIN = ("gateway", "operator", ".dev", "tests")

_MUTABLE = (ast.List, ast.Dict, ast.Set, ast.ListComp, ast.DictComp, ast.SetComp)
_MAKERS = frozenset({"list", "dict", "set", "bytearray", "defaultdict", "deque", "Counter"})
_HOSTS = re.compile(r"pypi\.org|pythonhosted\.org|npmjs\.org|proxy\.golang\.org|docker\.io")
_PATHS = re.compile(r"(?<![\w.~}])/(?:home|work|root|Users)/\w")
_ODD_BEGINNING = re.compile(r"\s*(?:What|Who|Whoever|Where|Whatever|Whether|How)\b")
_ODD_WORDS = re.compile(
    r"\b(?:told|tell(?:s|ing)?|said|say(?:s|ing)?|dear|anew|whoever|whatever|but for)\b", re.I
)
_UNFINISHED = re.compile(r"\b(?:TO" r"DO|FIX" r"ME|X" r"XX)\b")


def ours() -> Iterator[Path]:
    """Every file that somebody wrote."""
    for top in ROOT.iterdir():
        if top.name.startswith(".") and top.name not in HIDDEN_BUT_OURS:
            continue
        for path in [top] if top.is_file() else top.rglob("*"):
            if path.is_file() and not NOT_OURS.intersection(path.relative_to(ROOT).parts):
                yield path


def texts() -> Iterator[tuple[str, str]]:
    for path in ours():
        try:
            yield str(path.relative_to(ROOT)), path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue


@cache
def modules(*folders: str) -> list[tuple[str, ast.Module]]:
    paths = chain.from_iterable(sorted((ROOT / folder).rglob("*.py")) for folder in folders)
    return [(str(p.relative_to(ROOT)), ast.parse(p.read_text(encoding="utf-8"))) for p in paths]


def names(tree: ast.AST) -> Iterator[str]:
    """Every identifier that a module gives or uses."""
    for node in ast.walk(tree):
        match node:
            case ast.Name(id=name) | ast.Attribute(attr=name) | ast.arg(arg=name):
                yield name
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                yield name
            case ast.ClassDef(name=name):
                yield name


def imported(tree: ast.AST) -> Iterator[str]:
    """Dotted names that a module imports; of `from a import b` both `a` and `a.b`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def listed(places: Iterable[str], rule: str) -> str:
    """A rule, and each place that breaks it."""
    return "\n".join((rule, *sorted(places)))


def test_files_and_functions_are_short() -> None:
    long = []
    for path, tree in modules("gateway", "operator", "tests", ".dev"):
        lines = len((ROOT / path).read_text(encoding="utf-8").splitlines())
        if lines > FILE_LINES_MAX and not path.startswith("tests"):
            long.append(f"{path}: {lines} lines")
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lines = (node.end_lineno or node.lineno) - node.lineno + 1
                if lines > FUNCTION_LINES_MAX and "migrations" not in path:
                    long.append(f"{path}: {node.name} has {lines} lines")
    assert not long, listed(long, "FILE_LINES_MAX and FUNCTION_LINES_MAX hold")


def test_every_module_states_what_it_is() -> None:
    silent = [
        path
        for path, tree in modules("gateway", "operator", "tests", ".dev")
        if tree.body and not ast.get_docstring(tree)
    ]
    assert not silent, listed(silent, "a module begins with a docstring that states what it owns")


def test_the_gateway_has_few_parts() -> None:
    """The parts beside `__main__` are known at a glance."""
    parts = {path.name for path in (ROOT / "gateway").iterdir()} - NOT_OURS
    assert len(parts - {"__init__.py", "__main__.py", "py.typed"}) <= PARTS_MAX


@pytest.mark.parametrize("dialect", DIALECTS)
def test_each_dialect_has_the_same_files(dialect: str) -> None:
    """A dialect before upstreams, before clients, or before both."""
    found = {path.stem for path in (ROOT / "gateway/dialects" / dialect).glob("*.py")}
    upstreams = UPSTREAM_FILES if "endpoint" in found else set()
    clients = CLIENT_FILES if "dialect" in found else set()
    missing = (upstreams | clients or UPSTREAM_FILES | CLIENT_FILES) - found
    assert not missing, f"gateway/dialects/{dialect} needs a module for each of {sorted(missing)}"


def test_no_dialect_imports_another() -> None:
    """Each is in the contract that import-linter holds."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["importlinter"]
    held = next(c for c in contracts["contracts"] if c.get("containers") == ["gateway.dialects"])
    assert held["layers"][0].split(" | ") == DIALECTS, "a folder is missing in pyproject.toml"


def test_every_module_is_used() -> None:
    used = {name for _, tree in modules("gateway", "operator") for name in imported(tree)}
    entries = (
        "gateway.__main__",
        "gateway_operator.__main__",
        "gateway.store.migrations.env",  # Alembic's
    )
    dead = []
    for path, _ in modules("gateway", "operator"):
        name = (
            path.removeprefix("operator/")
            .removesuffix(".py")
            .removesuffix("/__init__")
            .replace("/", ".")
        )
        found_by_use = any(other == name or other.startswith(f"{name}.") for other in used)
        if not found_by_use and name not in entries and ".versions." not in name:
            dead.append(name)
    assert not dead, listed(dead, "no module is left that nothing imports")


def test_one_word_per_concept() -> None:
    wrong = {
        f"{path}: {name}"
        for path, tree in modules("gateway", "operator", ".dev")
        for name in names(tree)
        if name not in NOT_OUR_WORDS
        and any(BANNED.fullmatch(w.lower()) for w in re.findall(r"[A-Z]?[a-z]+|[A-Z]+", name))
    }
    assert not wrong, listed(wrong, "one word per concept: see BANNED")


def test_names_are_the_trade_s() -> None:
    wrong = {
        f"{path}: {name}"
        for path, tree in modules("gateway", "operator", ".dev")
        for name in names(tree)
        if name not in LANES_OF_TESTS and _is_jargon(name)
    }
    assert not wrong, listed(wrong, "names are the trade's: see JARGON")


def test_names_of_tests_are_the_trade_s() -> None:
    """The modules, classes and functions of the tests; a variable may be a common word."""
    wrong = {f"{path}: {name}" for path, name in definitions("tests") if _is_jargon(name)}
    assert not wrong, listed(wrong, "names are the trade's: see JARGON")


def definitions(folder: str) -> Iterator[tuple[str, str]]:
    for path, tree in modules(folder):
        yield path, Path(path).stem
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                yield path, node.name


def _is_jargon(name: str) -> bool:
    return any(JARGON.fullmatch(w.lower()) for w in re.findall(r"[A-Z]?[a-z]+|[A-Z]+", name))


def test_no_two_classes_share_a_name() -> None:
    found = Counter(
        node.name
        for _, tree in modules("gateway", "operator")
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef)
    )
    assert [name for name, count in found.items() if count > 1] == []


def docstrings(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Every string that stands for itself, with its line."""
    for node in ast.walk(tree):
        match node:
            case ast.Expr(value=ast.Constant(value=str(text))):
                yield node.lineno, text


def test_docstrings_are_plain_english() -> None:
    """The subject comes first, and the verbs are the trade's: send, return, report, log."""
    odd = [
        f"{path}:{line}"
        for path, tree in modules(*PLAIN)
        for line, text in docstrings(tree)
        if _ODD_BEGINNING.match(text) or _ODD_WORDS.search(text)
    ]
    assert not odd, listed(odd, "the subject comes first, and verbs are send, return, report, log")


def comments(path: str) -> Iterator[tuple[int, str]]:
    with (ROOT / path).open(encoding="utf-8") as file:
        for token in tokenize.generate_tokens(file.readline):
            if token.type == tokenize.COMMENT:
                yield token.start[0], token.string


def test_comments_are_plain_english() -> None:
    odd = [
        f"{path}:{line}"
        for path, _ in modules(*PLAIN)
        for line, text in comments(path)
        if _ODD_WORDS.search(text)
    ]
    assert not odd, listed(odd, "the subject comes first, and verbs are send, return, report, log")


def test_the_old_name_is_only_in_the_changelog() -> None:
    """Nothing keeps the name that the product had before its first release."""
    old = "toll" + "gate"
    paths = {str(path.relative_to(ROOT)) for path in ours()}
    named = {path for path in paths if old in path.lower()}
    named |= {path for path, text in texts() if old in text.lower()}
    assert named == {"CHANGELOG.md"}


def test_only_the_commands_print() -> None:
    printing = {path for path, tree in modules("gateway", "operator") if "print" in names(tree)}
    commands = {"gateway/__main__.py", "operator/gateway_operator/__main__.py"}
    assert printing <= {*commands, "gateway/process/banner.py"}


def test_modules_hold_no_mutable_state() -> None:
    """No `global`; a list, dict or set in a module is a constant, and named like one."""
    found = []
    for path, tree in modules("gateway", "operator"):
        found += [path for node in ast.walk(tree) if isinstance(node, ast.Global)]
        for statement in tree.body:
            if isinstance(statement, ast.Assign | ast.AnnAssign) and _is_mutable(statement.value):
                name = ast.unparse(statement).split("=")[0].split(":")[0].strip()
                if not name.isupper() and name != "__all__":
                    found.append(f"{path}: {name}")
    assert found == []


def _is_mutable(value: ast.expr | None) -> bool:
    if isinstance(value, ast.Call) and isinstance(value.func, ast.Name):
        return value.func.id in _MAKERS
    return isinstance(value, _MUTABLE)


def test_the_gateway_knows_nothing_of_kubernetes() -> None:
    roots = {name.split(".")[0] for _, tree in modules("gateway") for name in imported(tree)}
    assert not roots & {"kopf", "kubernetes", "pykube", "kubernetes_asyncio"}


def test_nothing_is_left_to_do() -> None:
    assert [path for path, text in texts() if _UNFINISHED.search(text)] == []


def test_no_file_names_a_registry_or_somebodys_machine() -> None:
    found = [
        f"{path}: {match.group()}"
        for path, text in texts()
        for pattern in (_HOSTS, _PATHS)
        for match in pattern.finditer(text)
    ]
    assert found == []


def test_the_folder_operator_does_not_hide_the_standard_library() -> None:
    """`import operator` at the root must be Python's, no matter what stands in the folder."""
    assert not (ROOT / "operator" / "__init__.py").exists()
    line = "import collections, operator; print(operator.add(1, 1))"
    done = subprocess.run([sys.executable, "-c", line], cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "2\n"), done.stderr


@pytest.mark.parametrize("lock", sorted((ROOT / ".locks").glob("*.txt")), ids=lambda p: p.name)
def test_every_python_dependency_is_locked_by_its_hash(lock: Path) -> None:
    wanted = re.split(r"^(?=[A-Za-z0-9])", lock.read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert len(wanted) > 1
    assert [one.split("\n")[0] for one in wanted[1:] if "--hash=sha256:" not in one] == []


def test_every_javascript_dependency_is_locked_by_its_hash() -> None:
    lock = json.loads((ROOT / "tests/sdk/package-lock.json").read_text(encoding="utf-8"))
    packages = {name: one for name, one in lock["packages"].items() if name}
    assert packages
    assert [name for name, one in packages.items() if not one.get("integrity")] == []
