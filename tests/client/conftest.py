"""What the tests of an application's side use: an issuer, and tokens that it could have signed."""

import secrets
from collections.abc import AsyncIterator, Callable
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gatelodge.client import Verifier
from gatelodge.tokens.jwk import public_jwk
from tests.support.clock import FakeClock
from tests.support.issuer import LittleServer, little_server

Open = Callable[..., Verifier]


class Key:
    """A signing key of an issuer."""

    def __init__(self, kid: str) -> None:
        """Make a new key with this id."""
        self.kid = kid
        self.private = Ed25519PrivateKey.generate()
        self.jwk = public_jwk(kid, self.private.public_key().public_bytes_raw())

    def sign(self, issuer: str, clock: FakeClock, **changes: Any) -> str:
        """Return an access token that is valid now, with these changes."""
        now = clock.milliseconds() // 1000
        claims = {
            "iss": issuer,
            "aud": "gatelodge",
            "sub": "usr_1",
            "sid": "ses_1",
            "iat": now,
            "exp": now + 600,
            "jti": secrets.token_hex(8),
            "client_id": "gatelodge",
            "roles": ["user"],
        }
        headers = {"typ": "at+jwt", "kid": changes.pop("kid", self.kid)}
        return jwt.encode(claims | changes, self.private, "EdDSA", headers=headers)


@pytest.fixture
async def issuer() -> AsyncIterator[LittleServer]:
    """Return a little server that publishes nothing yet."""
    async with little_server() as server:
        yield server


@pytest.fixture
def key() -> Key:
    """Return a signing key."""
    return Key("key_1")


@pytest.fixture
async def verifier(issuer: LittleServer, clock: FakeClock) -> AsyncIterator[Verifier]:
    """Return a verifier that asks nothing but the keys."""
    async with Verifier(issuer.address, freshness=None, clock=clock) as verifier:
        yield verifier
