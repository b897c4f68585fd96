"""Published vectors for signatures and keys (C2SP/wycheproof, Apache-2.0).

The files have vectors for RSA, elliptic curves, shared secrets and encrypted tokens. Gatelodge
reads only Ed25519, so it must accept none of them: not with their own keys, not if the verifier
also has our key, and not if their keys claim our algorithm. If a later edition has vectors for
Ed25519, the result must be the one that the vector states.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.support import vectors
from tests.support.jose import Accepts, Jwk, accepts, client_accepts, ed25519_signer, kid_named_by
from tests.support.malformed import GOOD, MALFORMED

TOTALS = {"signature": 401, "key": 26, "crypto": 83}

either = pytest.mark.parametrize("accepts", [accepts, client_accepts])
every_file = pytest.mark.parametrize("kind", TOTALS)
Count = Callable[[str, object], None]


@either
@every_file
async def test_only_valid_vectors_of_ed25519_are_accepted(
    kind: str, accepts: Accepts, record_property: Count
) -> None:
    algorithms: Counter[str] = Counter()
    for vector, keys in read(kind):
        ours = any(key.get("crv") == "Ed25519" for key in keys)
        algorithms["Ed25519" if ours else str(keys[0].get("alg") or keys[0]["kty"])] += 1
        accepted = await accepts(text_of(vector), *keys)
        assert accepted == (ours and vector["result"] == "valid"), vector

    assert algorithms.total() == TOTALS[kind]
    read_here = algorithms.pop("Ed25519", 0)
    others = ", ".join(f"{count} {name}" for name, count in algorithms.most_common())
    record_property(
        vectors.COUNTED,
        f"wycheproof, json_web_{kind}, {accepts.__name__}: {TOTALS[kind]} ran; {read_here} use "
        f"Ed25519, the only algorithm that is read; none of these was accepted: {others}",
    )


@either
@every_file
async def test_no_vector_is_accepted_by_a_verifier_that_holds_a_key_of_ours(
    kind: str, accepts: Accepts
) -> None:
    for vector, keys in read(kind):
        text = text_of(vector)
        ours = ed25519_signer().jwk | {"kid": kid_named_by(text)}
        assert not await accepts(text, ours), vector
        assert not await accepts(text, *keys, ours), vector


@either
@every_file
async def test_no_vector_is_accepted_because_its_key_claims_our_algorithm(
    kind: str, accepts: Accepts
) -> None:
    for vector, keys in read(kind):
        for claims in ({"alg": "EdDSA"}, {"alg": "EdDSA", "kty": "OKP", "crv": "Ed25519"}):
            lying = [key | claims for key in keys if key.get("crv") != "Ed25519"]
            assert not await accepts(text_of(vector), *lying), vector


def test_vectors_of_our_own_making_cover_every_class_of_the_published_ones() -> None:
    """Otherwise a run without the published files would not test every class."""
    comments = {
        (vector["comment"], vector["result"]) for kind in TOTALS for vector, _ in read(kind)
    }
    malformed = [case.covers for case in MALFORMED.values()]
    every = malformed + [case.covers for case in GOOD.values()]
    for comment, result in comments:
        classes = every if result == "valid" else malformed
        assert any(covers.fullmatch(comment) for covers in classes), (comment, result)

    for covers in every:
        assert any(covers.fullmatch(comment) for comment, _ in comments), covers.pattern


def read(kind: str) -> Iterator[tuple[dict[str, Any], list[Jwk]]]:
    """Yield each vector of a file with the keys that its verifier holds."""
    for group in vectors.read(f"wycheproof/json_web_{kind}_test.json")["testGroups"]:
        held = group.get("public") or group["private"]
        for vector in group["tests"]:
            yield vector, held.get("keys", [held])


def text_of(vector: dict[str, Any]) -> str:
    """Return the token of a vector as text. Some tokens are JSON objects."""
    token = vector.get("jws", vector.get("jwe"))
    return token if isinstance(token, str) else json.dumps(token)
