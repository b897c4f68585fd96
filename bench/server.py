"""The servers that are measured. Each is a process with workers, started and ended from here."""

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlencode

from bench import ROOT
from bench.load import Generator, Load
from bench.process import Cpu, Memory, cpu_seconds, family, memory_of, nice_cpu_seconds, pin

GATELODGE = Path(sys.executable).with_name("gatelodge")
START_SECONDS = 60.0
POLL_SECONDS = 0.002


class Server:
    """A server on a free port of the loopback address. It ends when the context ends.

    Attributes:
        start_seconds: the seconds from the start of the process to its first answer.
    """

    probe = "/healthz"

    def __init__(self, folder: Path) -> None:
        """Prepare a server that keeps its log and its data in `folder`."""
        self.folder = folder
        self.port = free_port()
        self.start_seconds = 0.0
        self._log = folder / "server.log"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def command(self) -> list[str]:
        """The command that starts the server."""
        raise NotImplementedError

    @property
    def environment(self) -> dict[str, str]:
        """This process's environment without Gatelodge settings, which could change the figures."""
        return {k: v for k, v in os.environ.items() if not k.startswith("GATELODGE_")}

    @property
    def pids(self) -> list[int]:
        """The id of the process that was started, then the ids of its workers."""
        return family(self._started.pid)

    def cpu(self) -> Cpu:
        """Return the CPU time that the process and its workers have taken so far."""
        return Cpu(cpu_seconds(self.pids), nice_cpu_seconds(self.pids))

    def cpu_each(self, generator: Generator, load: Load) -> Cpu:
        """Return the CPU time that one request of a load takes. The load needs a `count`."""
        if load.count is None:
            raise ValueError("the load has no count of requests")
        before = self.cpu()
        generator.run(load)
        return (self.cpu() - before) / load.count

    def memory(self) -> list[Memory]:
        """Return the resident memory of the process and of each worker."""
        return [memory_of(pid) for pid in self.pids]

    def pin(self, cores: set[int]) -> None:
        """Keep the process and its workers on these cores."""
        pin(self.pids, cores)

    def get(self, path: str) -> bytes:
        """Send a GET request, and return the body of the answer, which must be 200."""
        return self._ask("GET", path, None)

    def post(self, path: str, body: dict[str, str], *, expect: int = 200) -> dict[str, Any]:
        """Send a POST request with JSON, and return the JSON of the answer."""
        answer: dict[str, Any] = json.loads(
            self._ask("POST", path, json.dumps(body), expect=expect)
        )
        return answer

    def post_form(self, path: str, fields: dict[str, str]) -> dict[str, Any]:
        """Send a form, and return the JSON of the answer, which must be 200."""
        kind = "application/x-www-form-urlencoded"
        answer: dict[str, Any] = json.loads(self._ask("POST", path, urlencode(fields), kind))
        return answer

    def __enter__(self) -> Self:
        """Start the server, and wait for its first answer."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with self._log.open("ab") as log:
            began = time.perf_counter()
            self._process = subprocess.Popen(
                self.command,
                env=self.environment,
                cwd=ROOT,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        try:
            self._wait_for_answer(began)
        except BaseException:
            self._kill()
            raise
        self.start_seconds = time.perf_counter() - began
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """End the process and its workers."""
        self._started.send_signal(signal.SIGTERM)
        try:
            self._started.wait(30)
        except subprocess.TimeoutExpired:
            self._kill()

    @property
    def _started(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise RuntimeError("the server was not started")
        return self._process

    def _ask(
        self,
        method: str,
        path: str,
        body: str | None,
        kind: str = "application/json",
        *,
        expect: int = 200,
    ) -> bytes:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request(method, path, body, {"Content-Type": kind})
            response = connection.getresponse()
            content = response.read()
        finally:
            connection.close()
        if response.status != expect:
            raise RuntimeError(f"{method} {path}: {response.status} {content!r}")
        return content

    def _wait_for_answer(self, began: float) -> None:
        while time.perf_counter() - began < START_SECONDS:
            if self._started.poll() is not None:
                break
            try:
                self.get(self.probe)
            except OSError:
                time.sleep(POLL_SECONDS)
            else:
                return
        raise RuntimeError(f"the server does not answer:\n{self._log.read_text()}")

    def _kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._started.pid, signal.SIGKILL)  # start_new_session gave it its own group
        self._started.wait(30)


class Gatelodge(Server):
    """`gatelodge serve` with one worker. A setting that is not given has its default."""

    def __init__(self, folder: Path, **settings: str) -> None:
        """Prepare a server with its data in `folder`. Settings have the names of `Settings`."""
        super().__init__(folder)
        self._settings = settings

    @property
    def command(self) -> list[str]:
        """The command that starts the server."""
        return [str(GATELODGE), "serve", "--port", str(self.port)]

    @property
    def environment(self) -> dict[str, str]:
        """This process's environment with the settings of this server only."""
        given = {f"GATELODGE_{name.upper()}": value for name, value in self._settings.items()}
        return super().environment | {"GATELODGE_DATA_DIR": str(self.folder / "data")} | given


class StandIn(Gatelodge):
    """An application of `bench.stand_ins`, on the same HTTP server with the same settings."""

    def __init__(self, folder: Path, name: str, **settings: str) -> None:
        """Prepare the application. Its data, if it has any, is in `folder`."""
        super().__init__(folder, **settings)
        self._name = name

    @property
    def command(self) -> list[str]:
        """The command that starts the server."""
        return [sys.executable, "-m", "bench.stand_ins", self._name]

    @property
    def environment(self) -> dict[str, str]:
        """This process's environment with the settings of this server only."""
        return super().environment | {"GATELODGE_PORT": str(self.port)}


def free_port() -> int:
    """Return a port of the loopback address on which nobody listens now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
