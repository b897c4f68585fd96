"""Over https, the issuer shows a certificate that the application trusts."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from gatelodge.client import IssuerUnavailable, Verifier
from tests.client.conftest import Key
from tests.support.clock import FakeClock
from tests.support.issuer import LittleServer


def certificate(folder: Path, address: str) -> tuple[Path, Path]:
    """Return the files of a certificate for this address that signed itself, and of its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "issuer")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address(address))]), False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False)
        .sign(key, hashes.SHA256())
    )
    shown, kept = folder / f"{address}.pem", folder / f"{address}.key"
    shown.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    kept.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return shown, kept


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
