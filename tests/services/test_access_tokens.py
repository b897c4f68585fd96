"""Access tokens: what they say, when they end, and what is refused as one.

The server and an application's `Verifier` refuse the same texts: `verify` is either.
"""

import base64
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx2
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gatelodge.audit import COMMAND, AuditLog
from gatelodge.client import Verifier
from gatelodge.clock import LEEWAY
from gatelodge.ids import SessionId, UserId
from gatelodge.master_key import MasterKey
from gatelodge.methods import BY_PASSWORD
from gatelodge.stores import open_stores
from gatelodge.tokens.access import AccessTokens
from gatelodge.tokens.claims import POLICY, Claims
from gatelodge.tokens.jws import verify_jws
from gatelodge.tokens.keys import PUBLISH_LEAD, SigningKeys
from gatelodge.tokens.refusals import ExpiredToken, InvalidToken
from tests.support.clock import NOON, FakeClock
from tests.support.databases import migrated
from tests.support.issuer import publishing

ISSUER = "https://login.example.com"
LIFE = timedelta(minutes=10)
SECOND = timedelta(seconds=1)
MASTER_KEY = MasterKey.from_text("kD3v-Qm8ZrTx0aWfYbN5uLhJ7pGcE2sVo9Xi1BtRyMw")
ABSENT = ...


@pytest.fixture
async def keys(tmp_path: Path, clock: FakeClock) -> AsyncIterator[SigningKeys]:
    stores = open_stores(str(migrated(tmp_path / "gatelodge.db")))
    await stores.database.start()
    audit = AuditLog(stores.events, clock)
    signing_keys = SigningKeys(stores.signing_keys, MASTER_KEY, audit, clock, LIFE)
    await signing_keys.ensure()
    yield signing_keys
    await stores.database.stop()


@pytest.fixture
def tokens(keys: SigningKeys, clock: FakeClock) -> AccessTokens:
    return AccessTokens(keys, clock, issuer=ISSUER, audience=ISSUER, life=LIFE)


def issue(tokens: AccessTokens) -> str:
    return tokens.issue(
        subject=UserId("usr_1"),
        session_id=SessionId("ses_1"),
        roles=("user", "moderator"),
        authenticated_at=tokens.clock.now(),
        methods=BY_PASSWORD,
    )


Verify = Callable[[str], Awaitable[object]]


@pytest.fixture(params=["server", "client"])
async def verify(
    tokens: AccessTokens, clock: FakeClock, request: pytest.FixtureRequest
) -> AsyncIterator[Verify]:
    """Yield what checks a token: the server, or an application that fetched the public keys."""
    if request.param == "server":
        yield tokens.verify
        return
    keys = {"keys": await tokens.keys.ring.published(trusted=True)}
    transport = httpx2.ASGITransport(publishing(keys))
    verifier = Verifier(ISSUER, freshness=None, audience=ISSUER, transport=transport, clock=clock)
    async with verifier:
        yield verifier.check


Forge = Callable[..., str]


@pytest.fixture
def forge(tokens: AccessTokens) -> Forge:
    """Return a function that changes a good token, and signs the result with our own key."""

    def forged(*, header: dict[str, Any] | None = None, **claims: Any) -> str:
        good_header, good_claims, _ = parts(issue(tokens))
        return sign(
            tokens,
            changed(json.loads(good_header), header or {}),
            changed(json.loads(good_claims), claims),
        )

    return forged


def changed(good: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in (good | changes).items() if value is not ABSENT}


def sign(tokens: AccessTokens, header: object, claims: object) -> str:
    raw = (
        part if isinstance(part, bytes) else json.dumps(part).encode() for part in (header, claims)
    )
    message = ".".join(base64url(part) for part in raw)
    return f"{message}.{base64url(tokens.keys.signing_key()[1].sign(message.encode()))}"


def base64url(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def parts(token: str) -> list[bytes]:
    return [base64.urlsafe_b64decode(part + "==") for part in token.split(".")]


async def test_an_issued_token_says_who_in_which_session_until_when(
    tokens: AccessTokens,
) -> None:
    claims = await tokens.verify(issue(tokens))

    noon = int(NOON.timestamp())
    assert claims == Claims(
        subject=UserId("usr_1"),
        session_id=SessionId("ses_1"),
        roles=("user", "moderator"),
        issued_at=noon,
        expires_at=noon + 600,
        token_id=claims.token_id,
        client_id="gatelodge",
        issuer=ISSUER,
        audience=ISSUER,
        key_id=tokens.keys.signing_key()[0],
        authenticated_at=noon,
        methods=("pwd",),
    )


async def test_another_library_reads_our_tokens_with_the_published_keys(
    tokens: AccessTokens,
) -> None:
    token = issue(tokens)
    header = jwt.get_unverified_header(token)

    claims = jwt.decode(
        token,
        jwt.PyJWKSet.from_dict({"keys": await tokens.keys.ring.published(trusted=True)})[
            header["kid"]
        ],
        algorithms=["EdDSA"],
        audience=ISSUER,
        issuer=ISSUER,
        options={"verify_exp": False, "verify_iat": False},
    )

    assert header == {"typ": "at+jwt", "alg": "EdDSA", "kid": header["kid"]}
    assert claims.keys() == {
        "iss", "aud", "sub", "exp", "iat", "jti", "client_id", "sid", "roles",
            "auth_time", "amr", "acr",
    }  # fmt: skip


async def test_every_token_has_an_id_of_128_bits_of_its_own(tokens: AccessTokens) -> None:
    ids = [(await tokens.verify(issue(tokens))).token_id for _ in range(100)]

    assert len(set(ids)) == 100
    assert {len(parts(one)[0]) for one in ids} == {16}


@pytest.mark.parametrize("seconds", [1, 2, 600, 900])
async def test_a_token_counts_until_its_last_second_and_not_in_the_next(
    keys: SigningKeys, clock: FakeClock, seconds: int
) -> None:
    life = timedelta(seconds=seconds)
    tokens = AccessTokens(keys, clock, issuer=ISSUER, audience=ISSUER, life=life)
    token = issue(tokens)

    clock.advance(life - timedelta(milliseconds=1))
    await tokens.verify(token)
    clock.advance(timedelta(milliseconds=1))
    with pytest.raises(ExpiredToken):
        await tokens.verify(token)


@pytest.mark.parametrize("seconds", [-1, 0, 0.5, 86_401])
def test_a_life_that_no_verifier_takes_cannot_be_configured(
    keys: SigningKeys, clock: FakeClock, seconds: float
) -> None:
    with pytest.raises(ValueError, match="1 second to 1 day"):
        AccessTokens(keys, clock, ISSUER, ISSUER, life=timedelta(seconds=seconds))


async def test_tokens_of_the_old_key_count_to_their_end_after_a_rotation(
    tokens: AccessTokens, clock: FakeClock
) -> None:
    await tokens.keys.rotate(COMMAND)
    clock.advance(PUBLISH_LEAD - SECOND)
    old = issue(tokens)
    clock.advance(SECOND)
    new = issue(tokens)

    assert (await tokens.verify(old)).key_id != (await tokens.verify(new)).key_id
    clock.advance(LIFE - 2 * SECOND)
    await tokens.verify(old)


async def test_tokens_of_a_dropped_key_end_with_it(tokens: AccessTokens) -> None:
    token = issue(tokens)

    await tokens.keys.drop(tokens.keys.signing_key()[0], COMMAND)

    with pytest.raises(InvalidToken):
        await tokens.verify(token)
    await tokens.verify(issue(tokens))


@pytest.mark.parametrize(
    "claims",
    [
        pytest.param({name: value}, id=f"{name}={value!r}")
        for name in ("iss", "aud", "sub", "jti", "client_id", "sid")
        for value in (ABSENT, None, "", 7, True, ["usr_1"], {})
    ]
    + [
        pytest.param({name: value}, id=f"{name}={value!r}")
        for name in ("exp", "iat")
        for value in (ABSENT, None, True, "1777896000", 1777896600.0, [1777896600], {}, -1, 0)
    ]
    + [
        pytest.param({"nbf": value}, id=f"nbf={value!r}")
        for value in (None, True, "0", 0.0, int((NOON + LEEWAY + SECOND).timestamp()))
    ]
    + [
        pytest.param({"roles": value}, id=f"roles={value!r}")
        for value in (ABSENT, None, "admin", {"admin": True}, [1], [["admin"]])
    ]
    + [
        pytest.param({"auth_time": value}, id=f"auth_time={value!r}")
        for value in (None, True, "0", 0.0, [0], {})
    ]
    + [
        pytest.param({"amr": value}, id=f"amr={value!r}")
        for value in (None, "mfa", {"mfa": True}, [1], [["mfa"]])
    ]
    + [
        {"iss": "https://evil.example.com"},
        {"iss": ISSUER + "/"},
        {"aud": "https://other.example.com"},
        {"aud": [ISSUER]},
        {"client_id": "Gatelodge"},
        {"exp": int(NOON.timestamp()) + 901},
        {"exp": int(NOON.timestamp())},
        {"iat": int((NOON + LEEWAY + SECOND).timestamp())},
        {"iat": int((NOON + LEEWAY + SECOND).timestamp()), "nbf": int(NOON.timestamp())},
        {"exp": 10**300},
    ],
)
async def test_a_claim_that_is_missing_or_not_exactly_right_is_refused(
    tokens: AccessTokens, verify: Verify, forge: Forge, claims: dict[str, Any]
) -> None:
    with pytest.raises(InvalidToken):
        await verify(forge(**claims))


async def test_what_the_leeway_forgives_and_what_nobody_knows_is_taken(
    tokens: AccessTokens, verify: Verify, forge: Forge
) -> None:
    soon = int((NOON + LEEWAY).timestamp())

    await verify(forge(iat=soon, nbf=soon))
    await verify(forge(jti="another", auth_time=1, scope="read"))


@pytest.mark.parametrize(
    ("methods", "level"), [(("pwd",), "aal1"), (("otp",), "aal1"), (("pwd", "otp", "mfa"), "aal2")]
)
async def test_a_token_says_when_and_how_its_user_proved_who_they_are(
    tokens: AccessTokens, methods: tuple[str, ...], level: str
) -> None:
    """As RFC 9068, section 2.2.1 names it."""
    token = tokens.issue(
        subject=UserId("usr_1"),
        session_id=SessionId("ses_1"),
        roles=(),
        authenticated_at=NOON - timedelta(days=3, microseconds=1),
        methods=methods,
    )
    claims = json.loads(parts(token)[1])

    assert claims["auth_time"] == int(NOON.timestamp()) - 3 * 86400 - 1
    assert (claims["amr"], claims["acr"]) == (list(methods), level)


async def test_a_token_of_the_version_before_says_neither(
    tokens: AccessTokens, forge: Forge
) -> None:
    """It is good to its end, and nobody takes it for a sure proof."""
    claims = await tokens.verify(forge(auth_time=ABSENT, amr=ABSENT, acr=ABSENT))

    assert (claims.authenticated_at, claims.methods) == (None, ())


@pytest.mark.parametrize(
    "header",
    [
        {"typ": value}
        for value in (
            ABSENT,
            None,
            "",
            "JWT",
            "AT+JWT",
            "application/at+jwt",
            "rt+jwt",
            ["at+jwt"],
        )
    ]
    + [
        {"alg": value}
        for value in (ABSENT, None, "none", "NONE", "HS256", "eddsa", "Ed25519", "ES256", 7)
    ]
    + [
        {"kid": value}
        for value in (ABSENT, None, "", "unknown", "../key", "key 1", "k" * 65, 7, ["key_1"])
    ]
    + [
        {"crit": ["exp"]},
        {"crit": []},
        {"b64": False, "crit": ["b64"]},
        {"b64": True},
        {"zip": "DEF"},
        {"jku": "https://evil.example.com/keys"},
        {"x5u": "https://evil.example.com/chain"},
        {"jwk": {"kty": "OKP", "crv": "Ed25519", "x": "AA"}},
        {"x5c": ["AA"]},
        {"x5t": "AA"},
        {"x5t#S256": "AA"},
        {"cty": "JWT"},
        {"anything": 1},
    ],
    ids=repr,
)
async def test_a_header_that_is_not_exactly_ours_is_refused_though_our_key_signed_it(
    tokens: AccessTokens, verify: Verify, forge: Forge, header: dict[str, Any]
) -> None:
    with pytest.raises(InvalidToken):
        await verify(forge(header=header))


@pytest.mark.parametrize("kid", ["", "../key", "key 1", "k" * 65, "key_1\n", "key_\u0661"])
async def test_a_kid_that_no_key_of_ours_could_have_is_never_looked_up(
    tokens: AccessTokens, verify: Verify, forge: Forge, kid: str
) -> None:
    asked = []

    async def find(name: str) -> None:
        asked.append(name)

    with pytest.raises(InvalidToken):
        await verify_jws(forge(header={"kid": kid}), find, policy=POLICY)

    assert asked == []


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"typ"', b'"typ": "at+jwt", "typ"'),
        (b'"sub"', b'"sub": "usr_2", "sub"'),
        (b'{"', b'\xef\xbb\xbf{"'),
        (b'{"', b'{"\xff": 1, "'),
        (b'{"', b'{"\xed\xa0\x80": 1, "'),
        (b'"exp"', b'"note": NaN, "exp"'),
        (b'"exp"', b'"note": -Infinity, "exp"'),
        (b"}", b"} {}"),
        (b"}", b""),
    ],
)
async def test_json_that_two_readers_could_read_differently_is_refused(
    tokens: AccessTokens, verify: Verify, old: bytes, new: bytes
) -> None:
    good = [json.dumps(json.loads(part)).encode() for part in parts(issue(tokens))[:2]]
    await verify(sign(tokens, *good))

    for position in range(2):
        bad = [*good]
        bad[position] = good[position].replace(old, new, 1)
        if bad != good:
            with pytest.raises(InvalidToken):
                await verify(sign(tokens, *bad))


@pytest.mark.parametrize(
    "payload",
    [b"", b"null", b"[]", b'"text"', b"1", b"[" * 2900, b'{"a":' * 580, b"9" * 2900, b"\x00"],
)
async def test_a_payload_that_is_no_object_is_refused_however_deep(
    tokens: AccessTokens, verify: Verify, payload: bytes
) -> None:
    header = parts(issue(tokens))[0]

    with pytest.raises(InvalidToken):
        await verify(sign(tokens, header, payload))
    with pytest.raises(InvalidToken):
        await verify(sign(tokens, payload, b"{}"))


DAMAGE: dict[str, Callable[[str], str]] = {
    "nothing": lambda token: "",
    "only the dots": lambda token: "..",
    "a fourth part": lambda token: token + ".",
    "two parts": lambda token: token.rpartition(".")[0],
    "no signature": lambda token: token.rpartition(".")[0] + ".",
    "half a signature": lambda token: token[:-43],
    "padding": lambda token: token + "==",
    "too little padding": lambda token: token + "=",
    "a space before": lambda token: " " + token,
    "a line break after": lambda token: token + "\n",
    "a line break inside": lambda token: token.replace(".", ".\n", 1),
    "a question mark inside": lambda token: token.replace(".", "?.", 1),
    "another alphabet's digit": lambda token: token.replace(".", "\u0661.", 1),
    "a lone surrogate": lambda token: token + "\ud800",
    "JSON serialization": lambda token: json.dumps(
        dict(zip(("protected", "payload", "signature"), token.split("."), strict=True))
    ),
    "thousands of dots": lambda token: token + "." * 5000,
    "thousands of letters": lambda token: "A" * 5000 + token,
}


@pytest.mark.parametrize("damage", DAMAGE)
async def test_a_text_that_is_not_the_one_way_to_write_a_token_is_refused(
    tokens: AccessTokens, verify: Verify, damage: str
) -> None:
    with pytest.raises(InvalidToken):
        await verify(DAMAGE[damage](issue(tokens)))


async def test_stray_bits_in_the_last_character_are_refused(
    tokens: AccessTokens, verify: Verify
) -> None:
    """A signature has 64 bytes, so four bits of its last base64url character mean nothing."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    token = issue(tokens)
    twins = [token[:-1] + one for one in alphabet if one != token[-1]]
    decoded = [base64.urlsafe_b64decode(one.split(".")[2] + "==") for one in twins]
    assert decoded.count(parts(token)[2]) == 15

    for twin in twins:
        with pytest.raises(InvalidToken):
            await verify(twin)


async def test_every_changed_character_is_noticed(tokens: AccessTokens, verify: Verify) -> None:
    token = issue(tokens)
    for position in range(0, len(token), 7):
        other = "A" if token[position] != "A" else "B"
        with pytest.raises(InvalidToken):
            await verify(token[:position] + other + token[position + 1 :])


async def test_a_token_longer_than_4096_bytes_is_refused_though_our_key_signed_it(
    tokens: AccessTokens, verify: Verify, forge: Forge
) -> None:
    spare = 4096 - len(forge(padding=""))
    longest = forge(padding="x" * (spare * 3 // 4 - 2))
    assert 4090 <= len(longest) <= 4096

    await verify(longest)
    with pytest.raises(InvalidToken):
        await verify(forge(padding="x" * (spare * 3 // 4 + 2)))


async def test_a_token_signed_by_anyone_else_is_refused(
    tokens: AccessTokens, verify: Verify
) -> None:
    header, claims, _ = parts(issue(tokens))
    stranger = Ed25519PrivateKey.generate()
    message = f"{base64url(header)}.{base64url(claims)}"

    with pytest.raises(InvalidToken):
        await verify(f"{message}.{base64url(stranger.sign(message.encode()))}")


async def test_the_public_key_is_no_shared_secret(tokens: AccessTokens, verify: Verify) -> None:
    """The classic confusion: HS256 under the public key that everybody knows."""
    (entry,) = await tokens.keys.ring.published(trusted=True)
    _, claims, _ = parts(issue(tokens))
    public_key = base64.urlsafe_b64decode(entry["x"] + "=")

    confused = jwt.encode(
        json.loads(claims),
        public_key,
        algorithm="HS256",
        headers={"typ": "at+jwt", "kid": entry["kid"]},
    )

    with pytest.raises(InvalidToken):
        await verify(confused)


async def test_an_expired_token_that_is_wrong_in_another_way_is_only_invalid(
    tokens: AccessTokens, verify: Verify, forge: Forge, clock: FakeClock
) -> None:
    stranger, expired = forge(aud="https://other.example.com"), forge()
    content, _, signature = expired.rpartition(".")
    damaged = f"{content}.{'B' if signature[0] == 'A' else 'A'}{signature[1:]}"
    clock.advance(LIFE)

    with pytest.raises(ExpiredToken):
        await verify(expired)
    for wrong in (stranger, damaged):
        with pytest.raises(InvalidToken):
            await verify(wrong)
