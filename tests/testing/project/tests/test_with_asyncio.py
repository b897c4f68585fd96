"""Asynchronous tests that pytest-asyncio runs."""

import httpx2
import noticeboard
import pytest

from gatelodge.testing import AsUser, Client, GatelodgeFixture

pytestmark = pytest.mark.asyncio


async def test_asynchronous_clients(as_user: AsUser, gatelodge: GatelodgeFixture) -> None:
    noticeboard.starts.clear()
    ada, browser = as_user(username="ada"), as_user(cookies=True)
    async with ada.asynchronous() as client, browser.asynchronous() as other:
        assert (await client.get("/notices")).json() == ["Welcome", "for ada"]
        assert (await other.post("/touch")).is_success

        gatelodge.revoke(ada)

        assert (await client.get("/me")).status_code == 401
        assert (await other.get("/me")).is_success
    assert noticeboard.starts == ["begun", "ended"]


async def test_an_asynchronous_client_of_ones_own(as_user: AsUser) -> None:
    transport = httpx2.ASGITransport(app=noticeboard.app)
    async with (
        noticeboard.auth.lifespan(noticeboard.app),
        httpx2.AsyncClient(transport=transport, base_url="http://test") as client,
        as_user().asynchronous() as ours,
    ):
        headers = as_user(username="ada").bearer
        assert (await client.get("/greeting", headers=headers)).json() == "Hello ada"
        assert (await client.get("/api/auth/me", headers=headers)).is_success
        assert (await ours.get("/me")).is_success


async def test_one_kind_of_client_in_one_test(as_user: AsUser, signed_out: Client) -> None:
    async with as_user().asynchronous():
        with pytest.raises(RuntimeError, match="runs already"):
            signed_out.get("/greeting")
    assert signed_out.get("/greeting").is_success
    with pytest.raises(RuntimeError, match="one kind of client"):
        async with as_user().asynchronous():
            pass
