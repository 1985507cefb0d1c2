"""The commands of `python -m gateway`: serve, apply, migrate, audit, reports and the others.

Each loads its own modules, once it is chosen.
"""

import argparse
import asyncio
import gc
import os
import resource
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar

import uvloop

from gateway.core.errors import Repairable
from gateway.core.log_lines import set_up_logs
from gateway.process.report_commands import add_reports
from gateway.process.settings import CommandLine, Settings, SettingsError, read_settings
from gateway.process.settings import read_upstream_override as read_override

T = TypeVar("T")


def main() -> int:
    """Run one command. An error that the administrator can repair is one line, with exit code 1."""
    arguments = _parser().parse_args()
    _keep_private()
    try:
        settings = read_settings(os.environ)
        set_up_logs(settings.log_level, settings.log_format)
        code: int = arguments.act(arguments, settings)
    except (Repairable, OSError) as error:
        print(f"faregate: {error}", file=sys.stderr)
        return 1
    return code


def _keep_private() -> None:
    """Keep files that a command writes private to their owner, and its memory, with the keys in it,
    out of a crash dump."""
    os.umask(0o077)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _run(work: Coroutine[Any, Any, T]) -> T:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(work)


def _serve(arguments: argparse.Namespace, settings: Settings) -> int:
    # A start makes much and lets go of little: until it is over, the collector only costs time.
    gc.disable()
    from gateway.process.assembly import GatewayProcess
    from gateway.process.banner import banner

    line = CommandLine(
        config=arguments.config,
        data=arguments.data,
        host=arguments.host,
        port=arguments.port,
        ops_port=arguments.ops_port,
        apply=arguments.apply,
        confirm_orphans=arguments.confirm_orphans,
        show_keys=arguments.show_keys or sys.stdout.isatty(),
    )
    process = GatewayProcess(settings, read_override(os.environ), line, os.environ)

    async def run() -> None:
        async with process.running() as (started, listeners):
            print(banner(started, show_keys=line.show_keys), flush=True)
            await listeners.run()

    _run(run())
    return 0


def _apply(arguments: argparse.Namespace, settings: Settings) -> int:
    from gateway.process.banner import report
    from gateway.process.standalone.applier import Applier, apply_beside

    applier = Applier(
        arguments.data, settings, read_override(os.environ), os.environ, arguments.confirm_orphans
    )
    applied = apply_beside(applier, arguments.config)
    print(report(applied))
    return 1 if applied.orphans else 0


def _doctor(arguments: argparse.Namespace, settings: Settings) -> int:
    from gateway.process.doctor import ProbeResult, examine, table_line

    def report(result: ProbeResult) -> None:
        print(table_line(result), flush=True)

    override = read_override(os.environ)
    all_work = _run(
        examine(arguments.config, arguments.data, settings, override, os.environ, report)
    )
    return 0 if all_work else 1


def _simulate(arguments: argparse.Namespace, settings: Settings) -> int:
    from gateway.upstream.simulated.server import serve as serve_simulated

    def ready(url: str) -> None:
        print(f"the simulated upstream answers at {url}", flush=True)

    _run(serve_simulated(arguments.host, arguments.port, arguments.api_key, ready))
    return 0


def _migrate(arguments: argparse.Namespace, settings: Settings) -> int:
    from gateway.process.standalone.data_folder import database_in
    from gateway.store.migrate import migrate

    with database_in(arguments.data, settings) as database:
        migrate(database)
    print("the schema is up to date")
    return 0


def _console_serve(arguments: argparse.Namespace, settings: Settings) -> int:
    from gateway.process.console_process import ConsoleProcess

    line = CommandLine(
        config=arguments.config,
        data=arguments.data,
        host=arguments.host,
        port=arguments.port,
        ops_port=arguments.ops_port,
    )
    process = ConsoleProcess(settings, line, os.environ)

    async def run() -> None:
        async with process.running() as (url, listeners):
            print(f"the console is served for {url}", flush=True)
            await listeners.run()

    _run(run())
    return 0


def _console_link(arguments: argparse.Namespace, settings: Settings) -> int:
    from gateway.console.site import site_at
    from gateway.process.console import make_sign_in_link
    from gateway.process.standalone.data_folder import console_in, database_in
    from gateway.store.schema import check_schema

    origin = console_in(arguments.data)
    if origin is None:
        raise SettingsError(
            f"no gateway with a console has run on {arguments.data}: start one by `serve` first, or"
            " give --data the folder that it runs on"
        )
    with database_in(arguments.data, settings) as database:
        check_schema(database)
        namespaces, site = arguments.namespace or ["*"], site_at(origin)
        link = make_sign_in_link(database, settings.installation, site, arguments.role, namespaces)
        print(link)
    return 0


def _audit(arguments: argparse.Namespace, settings: Settings) -> int:
    from gateway.process.standalone.data_folder import database_in
    from gateway.store.audit import audit, summary

    with database_in(arguments.data, settings, timeouts=False) as database:
        findings = audit(database)
        for result in findings:
            print(result)
        result = f"{len(findings)} differences" if findings else "the books are right"
        print(f"{result}: {summary(database)}")
    return 1 if findings else 0


def _close(arguments: argparse.Namespace, settings: Settings) -> int:
    from datetime import UTC, datetime

    from gateway.process.closing import close, read_before
    from gateway.process.standalone.data_folder import database_in

    before = read_before(arguments.before, datetime.now(UTC))
    is_done = True
    with database_in(arguments.data, settings) as database:
        for line, is_whole in close(database, settings.installation, before, arguments.folder):
            print(line, flush=True)
            is_done = is_done and is_whole
    return 0 if is_done else 1


def _erase(arguments: argparse.Namespace, settings: Settings) -> int:
    from gateway.core.actor import Actor
    from gateway.process.reports import find_named_account
    from gateway.process.standalone.data_folder import database_in
    from gateway.store.erasing import erase_account

    with database_in(arguments.data, settings) as database:
        account_id = find_named_account(database, settings.installation, arguments.account)
        erased = erase_account(database, account_id, Actor("shell"))
    for what, number in erased.items():
        print(f"{number} {what.replace('_', ' ')}")
    return 0


def _port(text: str) -> int:
    """The number of a port, 0 for any that is free."""
    if text.isascii() and text.isdecimal() and len(text) <= 5 and int(text) <= 65_535:
        return int(text)
    raise argparse.ArgumentTypeError(f"{text} is no port: give a number from 0 to 65535")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m gateway",
        description="An API gateway for language models, with exact credits.",
        epilog="Each command has its own --help. docs/reference/settings.md has the environment.",
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    data = argparse.ArgumentParser(add_help=False)
    data.add_argument(
        "--data",
        type=Path,
        default=Path(".faregate"),
        help="folder of the SQLite database and the secrets (default: .faregate)",
    )

    orphans = argparse.ArgumentParser(add_help=False)
    orphans.add_argument(
        "--confirm-orphans",
        type=int,
        metavar="NUMBER",
        help="the number of keys that may be revoked since the file no longer names them",
    )

    serving = _serving()
    serve = commands.add_parser("serve", parents=[data, serving, orphans], help="run the gateway")
    serve.add_argument(
        "--apply",
        action="store_true",
        help="apply the file's keys and grants to a PostgreSQL database too",
    )
    serve.add_argument(
        "--show-keys",
        action="store_true",
        help="print keys in plain text, also where the output is no terminal",
    )
    serve.set_defaults(act=_serve)

    apply = commands.add_parser(
        "apply", parents=[data, orphans], help="apply a file's keys and grants, once"
    )
    apply.add_argument("config", type=Path, metavar="FILE", help="the file of documents")
    apply.set_defaults(act=_apply)

    doctor = commands.add_parser(
        "doctor", parents=[data], help="ask each upstream for each feature of its models' profiles"
    )
    doctor.add_argument("--config", type=Path, required=True, help="the file of documents")
    doctor.set_defaults(act=_doctor)

    simulate = commands.add_parser("simulate", help="run the simulated upstream")
    simulate.add_argument("--host", default="127.0.0.1", help="address to listen on")
    simulate.add_argument("--port", type=_port, default=8081, help="port to listen on")
    simulate.add_argument("--api-key", help="refuse requests with another credential")
    simulate.set_defaults(act=_simulate)

    migrate = commands.add_parser("migrate", parents=[data], help="bring the schema up to date")
    migrate.set_defaults(act=_migrate)

    audit_command = commands.add_parser(
        "audit", parents=[data], help="compare every balance with its entries"
    )
    audit_command.set_defaults(act=_audit)

    _add_closing(commands, data)
    _add_console(commands, data, serving)
    add_reports(commands, data)
    return parser


def _add_closing(commands: Any, data: argparse.ArgumentParser) -> None:
    close = commands.add_parser(
        "close", parents=[data], help="move older requests of all accounts into a file"
    )
    close.add_argument(
        "--before",
        required=True,
        metavar="MONTH",
        help="the first month that stays, such as 2026-10, or a moment",
    )
    close.add_argument("--folder", type=Path, required=True, help="folder of the new file")
    close.set_defaults(act=_close)

    erase = commands.add_parser(
        "erase", parents=[data], help="erase the texts of an account's clients and people"
    )
    erase.add_argument("--account", required=True, metavar="NAMESPACE/NAME")
    erase.set_defaults(act=_erase)


def _serving() -> argparse.ArgumentParser:
    """The arguments of a process that listens."""
    serving = argparse.ArgumentParser(add_help=False)
    serving.add_argument("--config", type=Path, required=True, help="the file of documents")
    serving.add_argument("--host", default="127.0.0.1", help="address to listen on")
    serving.add_argument("--port", type=_port, default=8080, help="port for clients")
    serving.add_argument("--ops-port", type=_port, default=9090, help="port for health and metrics")
    return serving


def _add_console(
    commands: Any, data: argparse.ArgumentParser, serving: argparse.ArgumentParser
) -> None:
    """The commands of the console."""
    console = commands.add_parser("console", help="make a link to the console, or run the console")
    acts = console.add_subparsers(required=True)
    serve = acts.add_parser(
        "serve", parents=[data, serving], help="run the console beside gateways on PostgreSQL"
    )
    serve.set_defaults(act=_console_serve)
    link = acts.add_parser(
        "link", parents=[data], help="print a link that signs in to the console, once"
    )
    link.add_argument(
        "--role",
        choices=["member", "manager", "treasurer", "auditor"],
        default="treasurer",
        help="role of the person who signs in (default: treasurer)",
    )
    link.add_argument(
        "--namespace", action="append", help="only in this namespace; may be given several times"
    )
    link.set_defaults(act=_console_link)


if __name__ == "__main__":
    sys.exit(main())
