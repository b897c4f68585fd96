"""Tokens and keys that are wrong in every known way, and good ones. All of them are made here.

`tests/support/malformed.py` says what is wrong with each. Published vectors of the same classes run
in `tests/test_wycheproof.py`, if their files are present.
"""

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding

from gatelodge.base64url import decode_base64url
from tests.support.jose import (
    Accepts,
    accepts,
    client_accepts,
    ed25519_signer,
    kid_named_by,
    rsa_private_key,
)
from tests.support.malformed import GOOD, MALFORMED
from tests.support.rsa_padding import pkcs1_token

either = pytest.mark.parametrize("accepts", [accepts, client_accepts])


@either
@pytest.mark.parametrize("name", GOOD)
async def test_a_good_token_is_accepted(name: str, accepts: Accepts) -> None:
    attempts = list(GOOD[name].make())

    assert attempts
    for text, jwk in attempts:
        assert await accepts(text, jwk), text


@either
@pytest.mark.parametrize("name", MALFORMED)
async def test_a_malformed_token_is_refused(name: str, accepts: Accepts) -> None:
    """One verifier has the key of the token. Another verifier also has our key."""
    attempts = list(MALFORMED[name].make())

    assert attempts
    for text, jwk in attempts:
        assert not await accepts(text, jwk), (text, jwk)
        if jwk != ed25519_signer().jwk and text != ed25519_signer().token():
            ours = ed25519_signer().jwk | {"kid": kid_named_by(text)}
            assert not await accepts(text, jwk, ours), (text, jwk)


def test_the_signatures_with_changed_padding_are_changed_from_a_real_one() -> None:
    """Otherwise they would be refused for another reason: they would be no signatures."""
    message, _, signature = pkcs1_token().rpartition(".")

    rsa_private_key().public_key().verify(
        decode_base64url(signature), message.encode(), padding.PKCS1v15(), hashes.SHA256()
    )
