"""`make run` as a newcomer types it, in a folder and on ports of its own."""

import os
import re
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.harness.gateway import DATABASES, PLAINTEXTS, ROOT, wait_until
from tests.harness.ports import free_port


class MakeRun:
    """One `make run`, on other ports and another folder than a developer's own."""

    def __init__(
        self, folder: Path, environment: dict[str, str] | None = None, config: Path | None = None
    ) -> None:
        self.folder = folder
        self.data = folder / ".faregate"
        self.log = folder / "make.log"
        self._environment = environment or {}
        self._config = "" if config is None else f" --config {config}"
        self.port, self.ops_port = free_port(), free_port()
        DATABASES.add(f"sqlite:///{self.data / 'faregate.db'}")

    def spawn(self) -> "subprocess.Popen[bytes]":
        arguments = f"--data {self.data} --port {self.port} --ops-port {self.ops_port}"
        arguments += self._config
        others = ("FAREGATE_", "UPSTREAM", "MAKE", "MFLAGS")
        clean = {k: v for k, v in os.environ.items() if not k.startswith(others)}
        with self.log.open("wb") as log:
            return subprocess.Popen(
                ["make", "run", f"ARGS={arguments}"],
                cwd=ROOT,
                env={**clean, **self._environment},
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    @property
    def printed(self) -> str:
        return self.log.read_text()

    @property
    def keys(self) -> list[str]:
        """The plaintext keys that it printed."""
        return re.findall(r"^key \S+: (\S+)$", self.printed, re.MULTILINE)

    def wait(self, process: "subprocess.Popen[bytes]") -> None:
        """Until it serves."""

        def serves() -> bool:
            assert process.poll() is None, self.printed
            return "Stop it with Ctrl-C" in self.printed

        wait_until(serves, "`make run`", 240)

    @contextmanager
    def running(self) -> Iterator[str]:
        """Its output, while it runs; then Ctrl-C."""
        process = self.spawn()
        try:
            self.wait(process)
            PLAINTEXTS.update(self.keys)
            yield self.printed
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGINT)
            process.wait(30)

    def type(self, *commands: str) -> str:
        """The output of commands in a shell beside it, with its ports as a reader sees them."""
        inherited = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("OPENAI_", "ANTHROPIC_", "FAREGATE_"))
        }
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", "\n".join(commands)],
            cwd=self.folder,
            env={**inherited, "NO_PROXY": "127.0.0.1"},
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return self.as_shown(done.stdout)

    def as_shown(self, text: str) -> str:
        """A text with the usual ports and without keys."""
        text = text.replace(f":{self.port}", ":8080").replace(f":{self.ops_port}", ":9090")
        return re.sub(r"sk-\w{20,}", "sk-…", text)
