"""A server keeps running without its database, and works again once the database is back."""

import os
import signal
from pathlib import Path

import httpx2
import pytest

from tests.support.mongod import ReplicaSet, require_mongod, wait_until
from tests.support.people import PASSWORD
from tests.support.server import Server

pytestmark = pytest.mark.faults

ANNA = {"username": "anna", "password": PASSWORD}


def test_a_worker_that_begins_without_its_database_waits_for_it(tmp_path: Path) -> None:
    """The signing keys are in the database, so a new worker has none until it is back."""
    require_mongod()
    with (
        ReplicaSet(tmp_path / "mongod") as mongo,
        Server(
            tmp_path / "data",
            database=mongo.url.replace("/?", "/away?serverSelectionTimeoutMS=1000&"),
        ) as server,
        httpx2.Client(
            base_url=server.url, transport=httpx2.HTTPTransport(retries=8), timeout=30
        ) as client,
    ):

        def sign_in() -> httpx2.Response:
            return client.post("/api/auth/signin", json=ANNA)

        signed_up = client.post("/api/auth/signup", json={**ANNA, "email": "anna@example.com"})
        assert signed_up.status_code == 200
        headers = {"Authorization": f"Bearer {sign_in().json()['accessToken']}"}

        mongo.kill(0)
        first = server.worker
        assert first is not None
        os.kill(first, signal.SIGKILL)
        wait_until(lambda: server.worker not in {None, first}, "the worker was not replaced", 20)

        assert client.get("/healthz").status_code == 200
        assert client.get("/readyz").status_code == 503
        assert sign_in().status_code == 503
        refused = client.get("/api/test/user", headers=headers)
        assert (refused.status_code, refused.json()["code"]) == (503, "store_unavailable")

        mongo.restart(0)
        wait_until(lambda: sign_in().status_code == 200, "nobody can sign in", 20)
        assert client.get("/api/test/user", headers=headers).status_code == 200
