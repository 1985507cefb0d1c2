"""A gateway and its upstream in the namespace, clients that run there, and what was seen of them.

Owns the processes and the reckoning: every test asks what the gateway answered, what the upstream
got and what the ledger records of it. Must never look at what a client sends on the wire: the
gateway stands between them as it does for people.
"""

import os
import signal
import subprocess
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from msgspec import Struct
from prometheus_client.parser import text_string_to_metric_families

from tests.clients.installed import node
from tests.harness.gateway import GatewayProcess, Simulated, wait_until

#: the longest any client takes on a busy machine, its first start included
CLIENT_SECONDS = 280
#: routes that cost credits
CHARGED = ("chat", "responses", "messages")


class Done(Struct, frozen=True):
    """The end of a client: its exit code, and its output."""

    code: int
    output: str
    errors: str

    def printed(self) -> str:
        """Everything, for an assertion's message."""
        return f"exit {self.code}\n{self.output[-4000:]}\n{self.errors[-4000:]}"


class Seen(Struct):
    """The events between a gateway, its upstream and its ledger while a client ran.

    `answers` counts what the gateway answered, by route and status. `charges` and `refunds` are
    entries of the ledger, oldest first; `bodies` what the upstream was asked.
    """

    answers: Counter[tuple[str, int]] = Counter()
    charges: list[dict[str, Any]] = []
    refunds: list[dict[str, Any]] = []
    bodies: list[dict[str, Any]] = []
    credits_taken: int = 0

    def of_route(self, route: str) -> dict[int, int]:
        """Answers of one route by status."""
        return {status: count for (name, status), count in self.answers.items() if name == route}

    def served(self, route: str, count: int) -> None:
        """Just so many answers, all of them good, each charged once, none refused or refunded."""
        refused = {key: n for key, n in self.answers.items() if key[0] in CHARGED and key[1] != 200}
        assert refused == {}
        assert self.of_route(route) == {200: count}, self.answers
        self.reckoned()
        assert (len(self.charges), self.refunds) == (self.good, [])

    @property
    def good(self) -> int:
        """Answers of charged routes that began well."""
        return sum(
            n for (name, status), n in self.answers.items() if name in CHARGED and status == 200
        )

    def reckoned(self) -> None:
        """One charge a request at most, at most one refund of it, and a balance that shows it."""
        ids = [entry["request_id"] for entry in self.charges]
        refunded = [entry["request_id"] for entry in self.refunds]
        assert len(set(ids)) == len(ids)
        assert len(set(refunded)) == len(refunded)
        assert set(refunded) <= set(ids)
        assert self.credits_taken == -sum(each["credits"] for each in self.charges + self.refunds)

    def cost_nothing(self) -> None:
        """All charges were given back."""
        self.reckoned()
        assert self.credits_taken == 0
        assert len(self.refunds) == len(self.charges)

    def messages(self, role: str) -> list[dict[str, Any]]:
        """The messages of a role in the last request that the upstream got."""
        return [each for each in self.bodies[-1]["messages"] if each["role"] == role]


class Site:
    """One gateway with its upstream, and the people's account."""

    def __init__(self, gateway: GatewayProcess, simulated: Simulated) -> None:
        self.gateway = gateway
        self.simulated = simulated
        self.key = gateway.key("rich")
        self.poor_key = gateway.key("poor")
        self.openai_url = f"{gateway.url}/api/openai/v1"
        self.anthropic_url = f"{gateway.url}/api/anthropic"

    @contextmanager
    def watch(self) -> Iterator[Seen]:
        """The events inside; they are filled in at the end."""
        seen = Seen(Counter(), [], [], [], 0)
        self.simulated.reset()
        answers, account = self._answers(), self.gateway.account(self.key)
        newest = max((entry["id"] for entry in account["entries"]), default=0)
        yield seen
        wait_until(self._is_quiet, "the client's last request to end")
        after = self.gateway.account(self.key)
        seen.answers.update(self._answers() - answers)
        entries = sorted(after["entries"], key=lambda entry: int(entry["id"]))
        for entry in entries:
            if entry["id"] > newest:
                (seen.refunds if entry["kind"] == "refund" else seen.charges).append(entry)
        seen.bodies.extend(each["body"] for each in self.simulated.requests())
        seen.credits_taken = account["balance"] - after["balance"]

    def _answers(self) -> Counter[tuple[str, int]]:
        counted: Counter[tuple[str, int]] = Counter()
        for name, labels, value in self._samples():
            if name == "faregate_requests_total" and value:
                counted[labels["route"], int(labels["code"])] += int(value)
        return counted

    def _is_quiet(self) -> bool:
        return not any(
            value for name, _, value in self._samples() if name == "faregate_in_flight_requests"
        )

    def _samples(self) -> Iterator[tuple[str, Mapping[str, str], float]]:
        for family in text_string_to_metric_families(self.gateway.metrics()):
            for sample in family.samples:
                yield sample.name, sample.labels, sample.value


class Home:
    """A scratch home of one test, and the folder that its client works in."""

    def __init__(self, path: Path) -> None:
        self.path = path / "home"
        self.work = path / "work"
        self.path.mkdir()
        self.work.mkdir()

    def write(self, name: str, text: str) -> Path:
        """A file below the home."""
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    def run(
        self,
        arguments: Sequence[str | Path],
        environment: Mapping[str, str],
        *,
        stdin: str = "",
        seconds: float = CLIENT_SECONDS,
    ) -> Done:
        """Run a client to its end, with nothing of our own environment but a path and a locale.

        All that it leaves running is ended with it.
        """
        process = subprocess.Popen(
            [str(argument) for argument in arguments],
            cwd=self.work,
            env={
                "HOME": str(self.path),
                "PATH": f"{node().parent}:/usr/local/bin:/usr/bin:/bin",
                "LANG": "C.UTF-8",
                "TERM": "dumb",
                "TMPDIR": str(self._temporary()),
                **environment,
            },
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            start_new_session=True,
        )
        try:
            output, errors = process.communicate(stdin, timeout=seconds)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
        return Done(process.returncode, output, errors)

    def _temporary(self) -> Path:
        path = self.path / "tmp"
        path.mkdir(exist_ok=True)
        return path
