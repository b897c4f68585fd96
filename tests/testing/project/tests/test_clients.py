"""Clients, and those of one's own."""

from collections.abc import Iterator

import noticeboard
import pytest
from fastapi.testclient import TestClient

from gatelodge.testing import AsUser, Client, GatelodgeFixture


@pytest.fixture
def own_client(gatelodge: GatelodgeFixture) -> Iterator[TestClient]:
    """Return a client of one's own, which runs the application."""
    with TestClient(noticeboard.app) as client:
        yield client


def test_headers_for_a_client_of_ones_own(own_client: TestClient, as_user: AsUser) -> None:
    ada = as_user(username="ada")

    assert own_client.get("/greeting", headers=ada.bearer).json() == "Hello ada"
    assert own_client.get("/greeting").json() == "Hello"
    with pytest.raises(RuntimeError, match=r"headers=user\.bearer"):
        ada.get("/me")


def test_the_application_starts_once_for_all_clients(as_user: AsUser, signed_out: Client) -> None:
    noticeboard.starts.clear()
    with as_user() as ada, signed_out:
        assert ada.get("/me").is_success
        assert signed_out.get("/me").status_code == 401

    assert noticeboard.starts == ["begun"]


def test_a_client_that_starts_nothing_says_what_to_do(as_user: AsUser) -> None:
    client = TestClient(noticeboard.app)

    with pytest.raises(RuntimeError, match="inside `with TestClient"):
        client.get("/me", headers=as_user().bearer)


def test_the_settings_of_the_application_stay(signed_out: Client) -> None:
    assert "Noticeboard" in signed_out.get("/sign-in").text
