"""Signature and key vectors that nobody here wrote (C2SP/wycheproof, Apache-2.0).

Every vector goes through the code that checks access tokens: `read_jwk` or `read_jwk_set`, then
`verify_jws`. Only the policy is wider than the product's: the vectors carry no `typ`, and some
of their kids have characters that ours never have.
"""

import json
import os
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gatelodge.tokens.jwk import InvalidKey, VerificationKey, read_jwk, read_jwk_set
from gatelodge.tokens.jws import JwsPolicy, verify_jws
from gatelodge.tokens.refusals import InvalidToken

REPOSITORY = Path(__file__).resolve().parent.parent
VECTORS = Path(os.environ.get("GATELODGE_VECTORS", REPOSITORY.parent / "shared" / "vectors"))
POLICY = JwsPolicy(kid=re.compile(r"[!-~]{1,64}"), typ=None)

# The file says "invalid" of these and "valid" of vector 357, which is the same text under the
# same key: the padding they were to carry was lost on the way. Nobody can satisfy both.
SAME_TEXT_AS_A_VALID_ONE = {"signature": {367: 357, 370: 357}}

# What the vectors call valid and Gatelodge refuses, each on purpose.
REFUSED_ON_PURPOSE = {
    "signature": {
        346: "header says PS384, key says PS256: one key, one algorithm",
        347: "the key's alg is ES521, which no RFC registers",
        350: "header says PS384, key says PS256: one key, one algorithm",
        351: "the key's alg is ES521, which no RFC registers",
        372: "a question mark inside the header's base64url",
        373: "a question mark inside the payload's base64url",
    },
    "key": {},
    "crypto": {50: "JWE, which Gatelodge does not read", 67: "JWE"},
}


@pytest.mark.parametrize(
    ("kind", "total", "valid_accepted"),
    [("signature", 401, 40), ("key", 26, 5), ("crypto", 83, 4)],
)
async def test_no_invalid_vector_is_accepted_and_the_valid_ones_we_read_are(
    kind: str, total: int, valid_accepted: int
) -> None:
    outcomes: Counter[tuple[str, bool]] = Counter()
    wrongly_accepted, wrongly_refused = [], []
    for vector, keys in vectors(kind):
        accepted = await accepts(vector, keys)
        outcomes[vector["result"], accepted] += 1
        if accepted and vector["result"] == "invalid":
            wrongly_accepted.append(vector["tcId"])
        if not accepted and vector["result"] == "valid":
            wrongly_refused.append(vector["tcId"])

    print(kind, dict(outcomes))  # noqa: T201 - shown with -rP
    assert sum(outcomes.values()) == total
    assert wrongly_accepted == list(SAME_TEXT_AS_A_VALID_ONE.get(kind, {}))
    assert wrongly_refused == list(REFUSED_ON_PURPOSE[kind])
    assert outcomes["valid", True] == valid_accepted


def test_the_two_invalid_vectors_that_are_accepted_are_copies_of_a_valid_one() -> None:
    by_id = {vector["tcId"]: (vector, keys) for vector, keys in vectors("signature")}
    for copy, original in SAME_TEXT_AS_A_VALID_ONE["signature"].items():
        (one, keys), (other, other_keys) = by_id[copy], by_id[original]
        assert (one["jws"], keys) == (other["jws"], other_keys)
        assert other["result"] == "valid"


def vectors(kind: str) -> Iterator[tuple[dict[str, Any], Any]]:
    """Yield each vector of a file with the key or key set that its verifier holds."""
    for group in read_file(kind)["testGroups"]:
        for vector in group["tests"]:
            yield vector, group.get("public") or group["private"]


def read_file(kind: str) -> Any:
    path = VECTORS / "wycheproof" / f"json_web_{kind}_test.json"
    if not path.exists():
        absent = f"no test vectors at {path}: set GATELODGE_VECTORS"
        pytest.fail(absent) if os.environ.get("CI") == "true" else pytest.skip(absent)
    return json.loads(path.read_text(encoding="utf-8"))


async def accepts(vector: dict[str, Any], keys: Any) -> bool:
    token = vector.get("jws", vector.get("jwe"))
    text = token if isinstance(token, str) else json.dumps(token)
    try:
        found = read_jwk_set(keys) if "keys" in keys else by_kid(read_jwk(keys))
        await verify_jws(text, finder(found), policy=POLICY)
    except (InvalidKey, InvalidToken):
        return False
    return True


def by_kid(key: VerificationKey) -> dict[str, VerificationKey]:
    return {key.kid: key}


def finder(keys: dict[str, VerificationKey]) -> Any:
    async def find(kid: str) -> VerificationKey | None:
        return keys.get(kid)

    return find
