"""The processes of a server: one prepares the application, and its workers share it."""

import os
import signal
import socket
import subprocess
from pathlib import Path

import httpx2
import pytest

from tests.support.mongod import wait_until
from tests.support.server import GATELODGE, START_SECONDS, Server


def test_workers_do_not_share_what_must_be_unique(tmp_path: Path) -> None:
    """They are copies of one application, which must not have begun to give out request ids."""
    each_alone = {"Connection": "close"}  # a connection each, so that both workers answer
    with (
        Server(tmp_path, workers=2, in_new_process=True) as server,
        httpx2.Client(base_url=server.url, headers=each_alone) as client,
    ):
        ids = [client.get("/healthz").headers["x-request-id"] for _ in range(60)]

    assert len(set(ids)) == 60


def test_a_worker_that_died_is_replaced(tmp_path: Path) -> None:
    with Server(tmp_path, in_new_process=True) as server:
        first = server.worker
        os.kill(first, signal.SIGKILL)
        wait_until(lambda: server.worker not in {None, first}, "it was not replaced", 20)

        transport = httpx2.HTTPTransport(retries=8)
        with httpx2.Client(base_url=server.url, transport=transport, timeout=10) as client:
            assert client.get("/readyz").json()["database"] == "answers"
        assert server.worker not in {None, first}


def test_no_worker_goes_on_alone(tmp_path: Path) -> None:
    """Nobody could stop such a worker, and it would keep the port."""
    with Server(tmp_path, workers=2, in_new_process=True) as server:
        os.kill(server.pid, signal.SIGKILL)

        wait_until(lambda: refuses(server.port), "somebody still answers", 20)


def test_the_welcome_goes_nowhere_else_when_standard_error_is_closed(tmp_path: Path) -> None:
    """The welcome contains the link that makes the first administrator."""
    server = Server(tmp_path)
    command = f'exec "{GATELODGE}" serve --port {server.port} 2>&-'
    with subprocess.Popen(
        ["/bin/sh", "-c", command], env=server.environment, stdout=subprocess.PIPE
    ) as process:
        wait_until(lambda: not refuses(server.port), "no answer", START_SECONDS)
        process.terminate()
        said, _ = process.communicate(timeout=30)

    assert process.returncode == 0
    assert said == b""


def test_a_misspelt_variable_is_named_at_the_start(tmp_path: Path) -> None:
    with Server(tmp_path, publik_url="https://id.example", service_host="10.96.12.7") as server:
        said = server.log.read_text()

    assert (
        "  GATELODGE_PUBLIK_URL (is GATELODGE_PUBLIC_URL meant?) is no setting, and is ignored. "
        in said
    )
    assert "SERVICE_HOST" not in said


@pytest.mark.parametrize(("public_url", "imported"), [("", True), ("http://127.0.0.1", False)])
def test_what_checks_passkeys_is_imported_before_the_first_sign_in(
    tmp_path: Path, public_url: str, imported: bool
) -> None:
    """Once, for all workers; and not where there are no passkeys."""
    server = Server(tmp_path, in_new_process=True, public_url=public_url)
    server.environment["PYTHONPROFILEIMPORTTIME"] = "1"
    with server:
        before, _, _ = server.log.read_text().partition("answers on")

    assert ("fido2.cose" in before) == imported


def refuses(port: int) -> bool:
    """Say whether nobody listens on this port."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0
