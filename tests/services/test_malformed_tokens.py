"""Tokens and keys that are wrong in every way that is known, made here; and good ones beside them.

What is wrong is told in `tests/support/malformed.py`. The published vectors of the same classes
run in `tests/test_wycheproof.py`, where they are there.
"""

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding

from gatelodge.base64url import decode_base64url
from tests.support.jose import accepts, ed25519_signer, kid_named_by, rsa_private_key
from tests.support.malformed import GOOD, MALFORMED
from tests.support.rsa_padding import pkcs1_token


@pytest.mark.parametrize("name", GOOD)
async def test_a_good_token_is_accepted(name: str) -> None:
    attempts = list(GOOD[name].make())

    assert attempts
    for text, jwk in attempts:
        assert await accepts(text, jwk), text


@pytest.mark.parametrize("name", MALFORMED)
async def test_a_malformed_token_is_refused(name: str) -> None:
    """By a verifier that holds the key it came with, and by one that holds our key as well."""
    attempts = list(MALFORMED[name].make())

    assert attempts
    for text, jwk in attempts:
        assert not await accepts(text, jwk), (text, jwk)
        if jwk != ed25519_signer().jwk and text != ed25519_signer().token():
            ours = ed25519_signer().jwk | {"kid": kid_named_by(text)}
            assert not await accepts(text, jwk, ours), (text, jwk)


def test_the_signatures_with_changed_padding_are_changed_from_a_real_one() -> None:
    """Otherwise they would be refused for being no signatures at all."""
    message, _, signature = pkcs1_token().rpartition(".")

    rsa_private_key().public_key().verify(
        decode_base64url(signature), message.encode(), padding.PKCS1v15(), hashes.SHA256()
    )
