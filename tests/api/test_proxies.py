"""Behind a proxy: which address a request came from, and whose word for it is trusted."""

from pathlib import Path

import httpx2
import pytest

from gatelodge.app import House, create_app
from gatelodge.errors import ConfigurationError
from gatelodge.settings import Settings, read_settings
from gatelodge.web.proxies import TrustedProxies
from tests.support.events import newest
from tests.support.people import Person
from tests.support.settings import hashing_cheaply

PROXIES = ("10.0.0.0/8", "2001:db8::7")


@pytest.mark.parametrize(
    ("peer", "lines", "client"),
    [
        ("203.0.113.7", [], "203.0.113.7"),
        ("203.0.113.7", ["198.51.100.9"], "203.0.113.7"),  # the peer is not one of our proxies
        ("10.0.0.1", [], "10.0.0.1"),
        ("10.0.0.1", ["198.51.100.9"], "198.51.100.9"),
        ("10.0.0.1", ["192.0.2.1, 198.51.100.9"], "198.51.100.9"),  # the client wrote the first one
        ("10.0.0.1", ["192.0.2.1", "198.51.100.9, 10.9.9.9"], "198.51.100.9"),
        ("10.0.0.1", ["10.0.0.3, 10.0.0.2"], "10.0.0.3"),
        ("10.0.0.1", ["192.0.2.1, unknown"], "10.0.0.1"),
        ("10.0.0.1", ["192.0.2.1, unknown, 10.0.0.2"], "10.0.0.2"),
        ("10.0.0.1", [""], "10.0.0.1"),
        ("10.0.0.1", ["198.51.100.9:4711"], "198.51.100.9"),
        ("10.0.0.1", ["fe80::1%" + "x" * 999], "fe80::1"),
        ("10.0.0.1", ["[2001:db8:1::9]:4711"], "2001:db8:1::9"),
        ("2001:db8::7", ["2001:db8:1::9"], "2001:db8:1::9"),
        ("::ffff:10.0.0.1", ["198.51.100.9"], "198.51.100.9"),
        ("", ["198.51.100.9"], ""),
        ("10.0.0.1", [", ".join(["10.0.0.2"] * 5000)], "10.0.0.2"),
    ],
)
def test_the_client_is_the_last_address_that_is_not_our_proxy(
    peer: str, lines: list[str], client: str
) -> None:
    """The number of proxies does not matter, nor what the client has written itself."""
    headers = [(b"x-forwarded-for", line.encode()) for line in lines]
    assert TrustedProxies(PROXIES).client_of(peer, headers) == client


def test_a_proxy_that_is_not_configured_is_warned_of_once(caplog: pytest.LogCaptureFixture) -> None:
    """The warning comes only for a private address: any client from outside may send the header."""
    proxies = TrustedProxies(())
    forwarded = [(b"x-forwarded-for", b"198.51.100.9")]
    assert proxies.client_of("9.9.9.9", forwarded) == "9.9.9.9"
    assert proxies.client_of("172.18.0.1", []) == "172.18.0.1"
    assert not caplog.records
    for _ in range(3):
        assert proxies.client_of("172.18.0.1", forwarded) == "172.18.0.1"

    assert [record.getMessage() for record in caplog.records] == ["proxy.not_trusted"]


@pytest.fixture
def settings(tmp_path: Path, request: pytest.FixtureRequest) -> Settings:
    """Return settings that name a proxy."""
    return hashing_cheaply(Settings(data_dir=tmp_path, trusted_proxies=PROXIES), request)


async def test_sessions_and_events_remember_who_asked(house: House) -> None:
    """They have the address of the client, not of the proxy."""
    transport = httpx2.ASGITransport(app=create_app(house), client=("10.0.0.1", 50000))
    forwarded = {"X-Forwarded-For": "192.0.2.1, 198.51.100.9"}
    async with httpx2.AsyncClient(
        transport=transport, base_url="http://localhost:8080", headers=forwarded
    ) as client:
        ann = Person("ann", client)
        await ann.sign_up()
        await ann.sign_in()
        (session,) = (await ann.get("/api/auth/sessions")).json()["items"]

    assert session["address"] == "198.51.100.9"
    events = await newest(house.stores.events, 9)
    assert {event.address for event in events if event.actor != "server"} == {"198.51.100.9"}


@pytest.mark.parametrize("value", ["everybody", "10.0.0.0/33", "10.0.0.1/8", "*"])
def test_what_is_no_network_is_refused_at_the_start(value: str) -> None:
    """The error names the setting."""
    with pytest.raises(ConfigurationError, match=r"^Entry 1 of trusted_proxies must be"):
        read_settings(trusted_proxies=value)
