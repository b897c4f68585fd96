"""The keys of an issuer: fetched as seldom as they may be, and never from anywhere else."""

import asyncio
import gzip
import json
from collections.abc import Callable
from datetime import timedelta

import pytest

from gatelodge.client import IssuerUnavailable, NotSignedIn, Verifier
from gatelodge.client.issuer import MAX_ANSWER
from tests.client.conftest import Key
from tests.client.test_verifier import silent
from tests.support.clock import FakeClock
from tests.support.issuer import KEYS, LittleServer, Write
from tests.support.jose import signer

SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)
DAY = timedelta(days=1)


@pytest.fixture
def token(issuer: LittleServer, key: Key, clock: FakeClock) -> Callable[..., str]:
    """Return a function that signs a token of the issuer."""
    return lambda by=key, **changes: by.sign(issuer.address, clock, **changes)


Token = Callable[..., str]


# What it costs the issuer


async def test_nothing_is_asked_before_the_first_token_and_then_once(
    issuer: LittleServer, verifier: Verifier, key: Key, token: Token
) -> None:
    issuer.publish(key.jwk)
    assert issuer.asked == []

    await asyncio.gather(*(verifier.check(token()) for _ in range(50)))

    assert issuer.asked == [KEYS]


async def test_ten_thousand_unknown_kids_make_one_request(
    issuer: LittleServer, verifier: Verifier, key: Key, token: Token
) -> None:
    """Forged tokens cost the issuer nothing, one after the other and all together."""
    issuer.publish(key.jwk)
    forged = token(kid="key_0").split(".")
    heads = [token(kid=f"key_{number}").partition(".")[0] for number in range(2, 10_002)]
    texts = [f"{head}.{forged[1]}.{forged[2]}" for head in heads]

    async def refused(text: str) -> None:
        with pytest.raises(NotSignedIn):
            await verifier.check(text)

    await asyncio.gather(*map(refused, texts[:5_000]))
    for text in texts[5_000:]:
        await refused(text)

    assert issuer.asked == [KEYS]


async def test_an_unknown_kid_asks_again_after_a_minute_and_a_new_key_is_found(
    issuer: LittleServer, verifier: Verifier, key: Key, token: Token, clock: FakeClock
) -> None:
    issuer.publish(key.jwk)
    await verifier.check(token())
    new = Key("key_2")
    issuer.publish(new.jwk, key.jwk)

    clock.advance(MINUTE - SECOND)
    with pytest.raises(NotSignedIn):
        await verifier.check(token(new))
    clock.advance(SECOND)
    await asyncio.gather(*(verifier.check(token(new)) for _ in range(50)))
    await verifier.check(token())

    assert issuer.asked == [KEYS] * 2


@pytest.mark.parametrize(
    ("cache", "minutes"),
    [
        ("public, max-age=300", 5),
        ("max-age=600, public", 10),
        ("MAX-AGE=600", 10),
        ("", 5),
        ("no-store", 5),
        ("max-age=0", 1),
        ("max-age=999999999", 60),
        ("s-maxage=600", 5),
        ("max-age=-1", 5),
    ],
)
async def test_keys_are_fresh_as_long_as_the_issuer_says_within_bounds(
    issuer: LittleServer,
    verifier: Verifier,
    key: Key,
    token: Token,
    clock: FakeClock,
    cache: str,
    minutes: int,
) -> None:
    """A key that the issuer has dropped counts no longer than that."""
    issuer.publish(key.jwk, cache=cache)
    await verifier.check(token())
    issuer.publish(Key("key_2").jwk, cache=cache)

    clock.advance(minutes * MINUTE * 4 / 5 - SECOND)
    await verifier.check(token())
    assert issuer.asked == [KEYS]
    clock.advance(minutes * MINUTE / 5 + SECOND)
    with pytest.raises(NotSignedIn):
        await verifier.check(token())
    assert issuer.asked == [KEYS] * 2


async def test_busy_applications_never_wait_for_keys_that_are_only_getting_old(
    issuer: LittleServer, verifier: Verifier, key: Key, token: Token, clock: FakeClock
) -> None:
    issuer.publish(key.jwk)
    seen = token()
    await verifier.check(seen)
    release = asyncio.Event()
    issuer.answers[KEYS] = held_until(release, issuer.answers[KEYS])

    clock.advance(4 * MINUTE)
    for _ in range(50):
        await verifier.check(seen)  # would wait for ever, if it waited
    release.set()
    load = verifier._keys._loads.find(KEYS)
    assert load is not None
    await load.outcome()
    clock.advance(4 * MINUTE - SECOND)
    await verifier.check(token())

    assert issuer.asked == [KEYS] * 2


def held_until(release: asyncio.Event, then: Write) -> Write:
    async def write(writer: asyncio.StreamWriter) -> None:
        await release.wait()
        await then(writer)

    return write


# The keys change


async def test_a_token_that_was_seen_before_ends_with_its_key(
    issuer: LittleServer, verifier: Verifier, key: Key, token: Token, clock: FakeClock
) -> None:
    issuer.publish(key.jwk)
    seen = token()
    await verifier.check(seen)
    issuer.publish(Key("key_2").jwk)

    clock.advance(5 * MINUTE)

    with pytest.raises(NotSignedIn):
        await verifier.check(seen)


async def test_a_key_that_went_unnoticed_by_busy_callers_is_gone_for_the_next(
    issuer: LittleServer, verifier: Verifier, key: Key, token: Token, clock: FakeClock
) -> None:
    """The keys were fetched in the background; the token is in memory."""
    issuer.publish(key.jwk)
    seen = token()
    await verifier.check(seen)
    issuer.publish(Key("key_2").jwk)

    clock.advance(4 * MINUTE)
    await verifier.check(seen)
    load = verifier._keys._loads.find(KEYS)
    assert load is not None
    await load.outcome()

    with pytest.raises(NotSignedIn):
        await verifier.check(seen)


async def test_another_key_under_the_same_kid_ends_the_tokens_of_the_first(
    issuer: LittleServer, verifier: Verifier, key: Key, token: Token, clock: FakeClock
) -> None:
    issuer.publish(key.jwk)
    seen, other = token(), Key(key.kid)
    await verifier.check(seen)
    issuer.publish(other.jwk)

    clock.advance(5 * MINUTE)

    with pytest.raises(NotSignedIn):
        await verifier.check(seen)
    await verifier.check(token(other))


# The issuer is away


async def test_old_keys_serve_for_a_day_while_the_issuer_is_away_and_no_longer(
    issuer: LittleServer, verifier: Verifier, key: Key, token: Token, clock: FakeClock
) -> None:
    issuer.publish(key.jwk)
    await verifier.check(token())
    await issuer.stop()

    for _ in range(24 * 4 - 1):
        clock.advance(15 * MINUTE)
        await verifier.check(token())
    clock.advance(15 * MINUTE)
    with pytest.raises(IssuerUnavailable):
        await verifier.check(token())

    await issuer.start()
    clock.advance(2 * SECOND)
    await verifier.check(token())


async def test_a_token_seen_before_does_not_outlive_the_bound_either(
    issuer: LittleServer, key: Key, token: Token, clock: FakeClock
) -> None:
    issuer.publish(key.jwk)
    long = token(exp=clock.milliseconds() // 1000 + 86_400)
    async with Verifier(
        issuer.address, freshness=None, max_token_life=DAY, clock=clock
    ) as verifier:
        await verifier.check(token())
        clock.advance(SECOND)
        issuer.answers.clear()
        clock.advance(DAY - 2 * SECOND)
        await verifier.check(long)
        clock.advance(SECOND)

        with pytest.raises(IssuerUnavailable):
            await verifier.check(long)


async def test_while_the_issuer_is_away_an_unknown_kid_is_not_called_forged(
    issuer: LittleServer, verifier: Verifier, key: Key, token: Token, clock: FakeClock
) -> None:
    issuer.publish(key.jwk)
    await verifier.check(token())
    issuer.answers.clear()

    clock.advance(MINUTE)
    for _ in range(50):
        with pytest.raises(IssuerUnavailable):
            await verifier.check(token(Key("key_2")))
    await verifier.check(token())

    assert issuer.asked == [KEYS] * 2


async def test_without_any_keys_callers_share_one_failure_and_one_try_a_second(
    issuer: LittleServer, verifier: Verifier, key: Key, token: Token, clock: FakeClock
) -> None:
    async def fails() -> None:
        with pytest.raises(IssuerUnavailable) as refused:
            await verifier.check(token())
        assert refused.value.code == "issuer_unavailable"
        assert refused.value.retry_after == 1

    await asyncio.gather(*(fails() for _ in range(50)))
    await fails()
    assert issuer.asked == [KEYS]

    issuer.publish(key.jwk)
    clock.advance(SECOND)
    await verifier.check(token())


async def test_whoever_gives_up_does_not_take_the_keys_from_the_others(
    issuer: LittleServer, verifier: Verifier, key: Key, token: Token
) -> None:
    issuer.publish(key.jwk)
    release = asyncio.Event()
    issuer.answers[KEYS] = held_until(release, issuer.answers[KEYS])
    first = asyncio.create_task(verifier.check(token()))
    second = asyncio.create_task(verifier.check(token()))
    await issuer.is_asked.wait()

    first.cancel()
    release.set()

    assert (await second).subject == "usr_1"
    assert first.cancelled()


# Answers that are no answers


async def drip(writer: asyncio.StreamWriter) -> None:
    """Write one byte after the other, for ever."""
    writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
    while not writer.is_closing():
        writer.write(b" ")
        await writer.drain()
        await asyncio.sleep(0.01)


async def drip_headers(writer: asyncio.StreamWriter) -> None:
    """Write one header after the other, for ever."""
    writer.write(b"HTTP/1.1 200 OK\r\n")
    while not writer.is_closing():
        writer.write(b"A: b\r\n")
        await writer.drain()
        await asyncio.sleep(0.01)


async def endless(writer: asyncio.StreamWriter) -> None:
    """Write as much as the client takes."""
    writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
    while not writer.is_closing():
        writer.write(b" " * 65_536)
        await writer.drain()


async def nonsense(writer: asyncio.StreamWriter) -> None:
    """Write what is not HTTP."""
    writer.write(b"\x16\x03\x01\x00\xff")
    await writer.drain()


@pytest.mark.parametrize("write", [drip, drip_headers, silent, endless, nonsense])
async def test_an_answer_that_is_slow_or_never_ends_is_cut(
    issuer: LittleServer,
    verifier: Verifier,
    token: Token,
    write: Write,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("gatelodge.client.issuer.MAX_SECONDS", 0.3)
    issuer.answers[KEYS] = write

    async with asyncio.timeout(3):
        with pytest.raises(IssuerUnavailable):
            await verifier.check(token())


@pytest.mark.parametrize(("spaces", "good"), [(0, True), (1, False), (10**6, False)])
async def test_an_answer_has_64_kib_at_most(
    issuer: LittleServer, verifier: Verifier, key: Key, token: Token, *, spaces: int, good: bool
) -> None:
    body = json.dumps({"keys": [key.jwk]}).encode()
    issuer.say(KEYS, body.ljust(MAX_ANSWER) + b" " * spaces)

    if good:
        await verifier.check(token())
    else:
        with pytest.raises(IssuerUnavailable):
            await verifier.check(token())


async def test_a_packed_answer_is_not_unpacked(
    issuer: LittleServer, verifier: Verifier, key: Key, token: Token
) -> None:
    body = json.dumps({"keys": [key.jwk]}).encode()
    issuer.say(KEYS, gzip.compress(body + b" " * 10**7), "Content-Encoding: gzip")

    with pytest.raises(IssuerUnavailable):
        await verifier.check(token())
    assert "Accept-Encoding: identity" in issuer.headers[0]


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_no_redirect_is_followed(
    issuer: LittleServer, verifier: Verifier, key: Key, token: Token, status: int
) -> None:
    issuer.publish(key.jwk)
    issuer.answers["/elsewhere"] = issuer.answers[KEYS]
    issuer.say(KEYS, b"", f"Location: {issuer.address}/elsewhere", status=status)

    with pytest.raises(IssuerUnavailable):
        await verifier.check(token())
    assert issuer.asked == [KEYS]


@pytest.mark.parametrize("status", [201, 204, 206, 400, 404, 500, 503])
async def test_keys_count_only_in_an_answer_with_status_200(
    issuer: LittleServer, verifier: Verifier, key: Key, token: Token, status: int
) -> None:
    issuer.say(KEYS, json.dumps({"keys": [key.jwk]}).encode(), status=status)

    with pytest.raises(IssuerUnavailable):
        await verifier.check(token())


@pytest.mark.parametrize(
    "address",
    [
        "file:///etc/passwd",
        "ftp://id.example.com",
        "http://id.example.com",
        "http://10.0.0.1:8080",
        "http://localhost.example.com",
        "http://127.0.0.1@id.example.com",
        "https://ann:secret@id.example.com",
        "https://id.example.com/",
        "https://id.example.com?x=1",
        "https://id.example.com#x",
        "https://id.example.com\\@evil.example.com",
        "https://id.example.com:99999",
        "https://",
        "//id.example.com",
        "id.example.com",
        "data:application/json,{}",
        "unix:/run/gatelodge.sock",
        "",
    ],
)
def test_an_address_that_others_could_answer_for_is_refused(address: str) -> None:
    with pytest.raises(ValueError, match="the issuer's address"):
        Verifier(address)


@pytest.mark.parametrize(
    "address",
    [
        "https://id.example.com",
        "https://id.example.com:8443",
        "https://example.com/auth",
        "http://localhost:8080",
        "http://127.0.0.1:8080",
        "http://[::1]:8080",
    ],
)
def test_an_address_of_https_or_of_this_machine_is_taken(address: str) -> None:
    Verifier(address)


# Sets of keys


def changed(key: Key, **members: object) -> dict[str, object]:
    """Return a key's JWK with these members changed, or left out if they are `...`."""
    return {name: value for name, value in (key.jwk | members).items() if value is not ...}


KEY, OTHER = Key("key_1"), Key("key_2")
RSA, SHARED = signer("RS256").jwk, signer("HS256").jwk

REFUSED = {
    "no JSON": b"<html>",
    "nothing": b"",
    "no object": b"[]",
    "no keys": b"{}",
    "keys that are no list": {"keys": {"key_1": KEY.jwk}},
    "an empty set": {"keys": []},
    "a key that is no object": {"keys": [KEY.jwk, "key"]},
    "the same member twice": b'{"keys": [], "keys": [' + json.dumps(KEY.jwk).encode() + b"]}",
    "the same kid twice": {"keys": [KEY.jwk, OTHER.jwk | {"kid": "key_1"}]},
    "the same key twice": {"keys": [KEY.jwk, KEY.jwk]},
    "the same kid in a key of another kind": {"keys": [KEY.jwk, RSA | {"kid": "key_1"}]},
    "a private key": {"keys": [KEY.jwk | {"d": KEY.jwk["x"]}]},
    "another key's private part": {"keys": [KEY.jwk, OTHER.jwk | {"d": OTHER.jwk["x"]}]},
    "a shared secret": {"keys": [KEY.jwk, SHARED | {"kid": "key_2"}]},
    "too many keys": {"keys": [KEY.jwk, *(RSA | {"kid": f"key_{n}"} for n in range(2, 34))]},
    "a key, not a set": KEY.jwk,
    "only a key with a padded x": {"keys": [changed(KEY, x=f"{KEY.jwk['x']}=")]},
    **{
        f"only a key with {name}: {value!r}": {"keys": [changed(KEY, **{name: value})]}
        for name, values in {
            "alg": ("RS256", "HS256", "none", "eddsa", None, ...),
            "crv": ("P-256", "X25519", "Ed448", None, ...),
            "kty": ("EC", "RSA", "oct", None, ...),
            "use": ("enc", "", None, ["sig"]),
            "key_ops": (["encrypt"], ["sign"], []),
            "kid": ("", None, 7, ...),
            "x": ("", "AA", None, ...),
        }.items()
        for value in values
    },
}


@pytest.mark.parametrize("name", REFUSED)
async def test_a_set_that_cannot_be_trusted_is_refused_as_a_whole(
    issuer: LittleServer, verifier: Verifier, token: Token, name: str
) -> None:
    body = REFUSED[name]
    issuer.say(KEYS, body if isinstance(body, bytes) else json.dumps(body).encode())

    with pytest.raises(IssuerUnavailable):
        await verifier.check(token(KEY))


async def test_keys_of_other_kinds_are_left_out_and_the_good_one_counts(
    issuer: LittleServer, verifier: Verifier, token: Token
) -> None:
    strange = {"kty": "new", "kid": "key_9", "anything": [1]}
    issuer.publish(RSA | {"kid": "key_8"}, strange, changed(OTHER, use="enc"), KEY.jwk)

    await verifier.check(token(KEY))
    with pytest.raises(NotSignedIn):
        await verifier.check(token(OTHER))


async def test_a_bad_set_does_not_take_the_place_of_good_keys(
    issuer: LittleServer, verifier: Verifier, token: Token, clock: FakeClock
) -> None:
    issuer.publish(KEY.jwk)
    await verifier.check(token(KEY))
    issuer.publish()

    clock.advance(5 * MINUTE)

    await verifier.check(token(KEY))
    assert len(issuer.asked) == 2
