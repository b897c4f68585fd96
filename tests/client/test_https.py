"""Over https, the issuer shows a certificate that the application trusts."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gatelodge.client import IssuerUnavailable, Verifier
from tests.client.conftest import Key
from tests.support.certificates import certificate
from tests.support.clock import FakeClock
from tests.support.issuer import LittleServer


@pytest.fixture
async def issuer(tmp_path: Path, key: Key) -> AsyncIterator[LittleServer]:
    """Return an issuer whose certificate is for 127.0.0.1."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate(tmp_path, "127.0.0.1"))
    server = LittleServer(tls=context)
    await server.start()
    server.publish(key.jwk)
    yield server
    await server.stop()


async def test_a_certificate_that_the_application_trusts_is_taken(
    issuer: LittleServer, key: Key, clock: FakeClock, tmp_path: Path
) -> None:
    trusting = ssl.create_default_context(cafile=tmp_path / "127.0.0.1.pem")
    token = key.sign(issuer.address, clock)

    verifier = Verifier(issuer.address, freshness=None, ssl_context=trusting, clock=clock)
    async with verifier:
        assert (await verifier.check(token)).subject == "usr_1"


@pytest.mark.parametrize("trusts", ["the machine's authorities", "another certificate"])
async def test_another_certificate_is_refused(
    issuer: LittleServer, key: Key, clock: FakeClock, tmp_path: Path, trusts: str
) -> None:
    """Whoever answers in place of the issuer could publish keys of their own."""
    other, _ = certificate(tmp_path, "127.0.0.2")
    context = ssl.create_default_context(cafile=other) if trusts.startswith("another") else None
    token = key.sign(issuer.address, clock)

    verifier = Verifier(issuer.address, freshness=None, ssl_context=context, clock=clock)
    async with verifier, asyncio.timeout(5):
        with pytest.raises(IssuerUnavailable):
            await verifier.check(token)
    assert issuer.asked == []
