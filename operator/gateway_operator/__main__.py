"""`python -m gateway_operator`: run · release-finalizers · selftest."""

import argparse
import asyncio
import logging
import os
import resource
import sys
from collections.abc import Sequence

import kopf
from kopf._cogs.structs.references import Insights

from gateway.core.log_lines import Format, set_up_logs
from gateway.store.installation import WrongSecret
from gateway.store.schema import SchemaError
from gateway_operator import main as handlers
from gateway_operator import selftest
from gateway_operator.cluster import Cluster, ClusterError
from gateway_operator.installation import InstallationError
from gateway_operator.process import OperatorProcess
from gateway_operator.release import release_until_quiet, stop_operator
from gateway_operator.settings import (
    OperatorSettings,
    OperatorSettingsError,
    ReleaseSettings,
    configure,
    read_release_settings,
    read_settings,
)
from gateway_operator.sweep import DefinitionsMissing

_SENTENCES = (
    OperatorSettingsError,
    SchemaError,
    WrongSecret,
    InstallationError,
    DefinitionsMissing,
    ClusterError,
    selftest.SelftestFailed,
    TimeoutError,
    OSError,
)


def main(given: Sequence[str] | None = None) -> int:
    """Run one command. An error that the administrator can repair is one line, with exit code 1."""
    arguments = _parser().parse_args(given)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # its memory holds secrets
    try:
        code: int = arguments.act(arguments)
    except _SENTENCES as error:
        print(f"faregate-operator: {error or type(error).__name__}", file=sys.stderr)
        return 1
    return code


def _run(_: argparse.Namespace) -> int:
    settings = read_settings(os.environ)
    _log(settings.log_level, settings.log_format)
    asyncio.run(_operate(settings))
    return 0


async def _operate(settings: OperatorSettings) -> None:
    process = OperatorProcess(settings, os.environ)
    registry, sheet = kopf.OperatorRegistry(), kopf.OperatorSettings()
    configure(sheet)
    insights = Insights()
    handlers.register(registry, process, insights)
    await kopf.operator(
        registry=registry,
        settings=sheet,
        clusterwide=not settings.namespaces,
        namespaces=(settings.namespace,) if settings.namespaces else (),
        insights=insights,
        standalone=True,
        stop_flag=process.ending,
    )
    if process.failure is not None:
        raise process.failure


def _release_finalizers(_: argparse.Namespace) -> int:
    settings = read_release_settings(os.environ)
    _log("INFO")
    asyncio.run(_release(settings))
    return 0


async def _release(settings: ReleaseSettings) -> None:
    cluster = await Cluster.connect(os.environ)
    try:
        if settings.operator_deployment is not None:
            await stop_operator(cluster, settings.namespace, settings.operator_deployment)
        await release_until_quiet(cluster, settings.namespaces)
    finally:
        await cluster.close()


def _selftest(arguments: argparse.Namespace) -> int:
    asyncio.run(_ask(selftest.read_arguments(arguments)))
    return 0


async def _ask(question: selftest.Question) -> None:
    cluster = await Cluster.connect(os.environ)
    try:
        await selftest.selftest(cluster, question, lambda line: print(line, flush=True))
    finally:
        await cluster.close()


def _log(level: str, wanted: Format = "auto") -> None:
    """Lines as the gateways write them. Each handler's turn is logged at the debug level only."""
    set_up_logs(level, wanted)
    logging.getLogger("kopf.objects").addFilter(_name_object)
    if level != "DEBUG":
        for chatty in ("alembic", "kopf.objects", "kopf.activities"):
            logging.getLogger(chatty).setLevel(logging.WARNING)


def _name_object(record: logging.LogRecord) -> bool:
    """Keep the object that kopf logs about as a field of the line."""
    about = getattr(record, "k8s_ref", None)
    if about:
        name = f"{about.get('kind')} {about.get('namespace')}/{about.get('name')}"
        record.fields = {"object": name}
    return True


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m gateway_operator", description=__doc__)
    commands = parser.add_subparsers(required=True)
    run = commands.add_parser("run", help="run the operator")
    run.set_defaults(act=_run)
    release = commands.add_parser(
        "release-finalizers", help="before an uninstall: let ApiKeys be deleted without an operator"
    )
    release.set_defaults(act=_release_finalizers)
    test = commands.add_parser("selftest", help="make a key and a grant, and send one request")
    selftest.add_arguments(test)
    test.set_defaults(act=_selftest)
    return parser


if __name__ == "__main__":
    sys.exit(main())
