"""Signing keys: who makes them, when they sign, and how every process learns of them."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import cast

import pytest
from cryptography.hazmat.primitives.asymmetric.ed448 import Ed448PrivateKey

from gatelodge.audit import COMMAND, AuditLog
from gatelodge.base64url import encode_base64url
from gatelodge.clock import LEEWAY
from gatelodge.errors import ConfigurationError, StoreUnavailable
from gatelodge.master_key import MasterKey
from gatelodge.stores import Stores, open_stores
from gatelodge.tokens.jwk import InvalidKey, public_jwk, read_jwk
from gatelodge.tokens.keys import PUBLISH_LEAD, SIGNING_KEY_LIFE, SigningKeys
from gatelodge.tokens.refusals import NoSuchKey
from gatelodge.tokens.store import SigningKey, SigningKeyStore
from tests.contracts.builders import an_event
from tests.support.clock import NOON, FakeClock
from tests.support.databases import migrated
from tests.support.events import newest
from tests.support.held import Held

LIFE = timedelta(minutes=10)
SECOND = timedelta(seconds=1)
MASTER_KEY = MasterKey.from_text("kD3v-Qm8ZrTx0aWfYbN5uLhJ7pGcE2sVo9Xi1BtRyMw")

Process = Callable[[], SigningKeys]


@pytest.fixture
async def stores(tmp_path: Path) -> AsyncIterator[Stores]:
    stores = open_stores(str(migrated(tmp_path / "gatelodge.db")))
    await stores.database.start()
    yield stores
    await stores.database.stop()


@pytest.fixture
def store(stores: Stores) -> SigningKeyStore:
    return stores.signing_keys


@pytest.fixture
def audit(stores: Stores, clock: FakeClock) -> AuditLog:
    return AuditLog(stores.events, clock)


@pytest.fixture
def process(store: SigningKeyStore, audit: AuditLog, clock: FakeClock) -> Process:
    """Return a function that acts as another process over the same store."""
    return lambda: SigningKeys(store, MASTER_KEY, audit, clock, access_token_life=LIFE)


async def published(keys: SigningKeys) -> list[dict[str, str]]:
    """Return the key set that the process publishes now."""
    return await keys.ring.published(trusted=True)


async def test_the_first_key_signs_at_once_and_is_published(process: Process) -> None:
    keys = process()

    await keys.ensure()

    kid, private_key = keys.signing_key()
    (entry,) = map(read_jwk, await published(keys))
    assert (entry.kid, entry.algorithm) == (kid, "EdDSA")
    assert entry.verifies(b"message", private_key.sign(b"message"))
    assert not entry.verifies(b"another", private_key.sign(b"message"))


async def test_what_is_published_is_the_public_part_with_its_one_use(process: Process) -> None:
    keys = process()
    await keys.ensure()

    (entry,) = await published(keys)

    assert entry.keys() == {"kty", "crv", "x", "kid", "use", "alg"}
    assert entry | {"x": "", "kid": ""} == {
        "kty": "OKP",
        "crv": "Ed25519",
        "x": "",
        "kid": "",
        "use": "sig",
        "alg": "EdDSA",
    }


async def test_many_processes_that_start_at_once_sign_with_one_key(process: Process) -> None:
    processes = [process() for _ in range(12)]

    await asyncio.gather(*(keys.ensure() for keys in processes))

    assert len({keys.signing_key()[0] for keys in processes}) == 1


async def test_before_the_start_nothing_signs_and_nothing_verifies(process: Process) -> None:
    keys = process()

    assert keys.ring.verification_key("key_1") is None
    with pytest.raises(StoreUnavailable):
        keys.signing_key()


async def test_a_rotation_takes_over_when_every_cached_jwks_has_run_out(
    process: Process, clock: FakeClock
) -> None:
    """A new key is published at once, and signs after the max-age of the key set.

    The old key disappears when the last token that it signed has expired.
    """
    keys = process()
    await keys.ensure()
    old = keys.signing_key()[0]

    new = (await keys.rotate(COMMAND)).kid

    assert [key["kid"] for key in await published(keys)] == [old, new]
    clock.advance(PUBLISH_LEAD - SECOND)
    assert keys.signing_key()[0] == old
    clock.advance(SECOND)
    assert keys.signing_key()[0] == new
    await keys.ensure()
    assert keys.ring.verification_key(old) is not None
    clock.advance(LIFE + LEEWAY - SECOND)
    assert keys.ring.verification_key(old) is not None
    clock.advance(SECOND)
    assert keys.ring.verification_key(old) is None
    assert [key["kid"] for key in await published(keys)] == [new]


async def test_rotations_asked_for_together_or_while_one_waits_are_one_rotation(
    process: Process, store: SigningKeyStore, clock: FakeClock
) -> None:
    processes = [process() for _ in range(6)]
    await asyncio.gather(*(keys.ensure() for keys in processes))

    asked_at_once = await asyncio.gather(*(keys.rotate(COMMAND) for keys in processes))
    clock.advance(PUBLISH_LEAD / 2)
    asked_later = await processes[0].rotate(COMMAND)

    assert {key.kid for key in asked_at_once} == {asked_later.kid}
    assert len(await store.list_keys()) == 2


async def test_a_rotation_before_any_key_makes_one_that_signs_at_once(process: Process) -> None:
    keys = process()

    made = await keys.rotate(COMMAND)

    assert keys.signing_key()[0] == made.kid


async def test_the_key_of_another_process_is_found_at_its_first_token(
    process: Process, clock: FakeClock
) -> None:
    ours, theirs = process(), process()
    await ours.ensure()
    await theirs.ensure()
    clock.advance(SECOND)

    new = await theirs.rotate(COMMAND)

    assert ours.ring.verification_key(new.kid) is None
    assert (await ours.find(new.kid)) == theirs.ring.verification_key(new.kid)


async def test_a_flood_of_forged_kids_asks_the_store_once_a_second(
    process: Process, clock: FakeClock
) -> None:
    """This shows in its effect: a key that is added within that second is found after it."""
    ours, theirs = process(), process()
    await ours.ensure()
    await theirs.ensure()
    clock.advance(SECOND)
    forged = await asyncio.gather(*(ours.find(f"forged-{n}") for n in range(50)))
    assert set(forged) == {None}

    new = await theirs.rotate(COMMAND)

    assert await ours.find(new.kid) is None
    clock.advance(SECOND)
    assert await ours.find(new.kid) is not None


async def test_a_dropped_key_verifies_nothing_anywhere_within_half_a_minute(
    process: Process, clock: FakeClock
) -> None:
    ours, theirs = process(), process()
    await ours.ensure()
    await theirs.ensure()
    leaked = ours.signing_key()[0]

    await theirs.drop(leaked, COMMAND)

    assert theirs.ring.verification_key(leaked) is None
    assert theirs.signing_key()[0] != leaked
    clock.advance(timedelta(seconds=30))
    assert await ours.find(leaked) is None
    assert ours.signing_key()[0] == theirs.signing_key()[0]
    with pytest.raises(NoSuchKey):
        await theirs.drop("key_that_never_was", COMMAND)


async def test_an_invalidation_also_counts_for_a_read_that_began_before_it(
    process: Process, stores: Stores
) -> None:
    """What it read may be older than the change that led to the invalidation."""
    theirs, ours = process(), process()
    await theirs.ensure()
    await ours.ensure()
    leaked = theirs.signing_key()[0]
    held = Held(stores.signing_keys, "list_keys")
    ours.ring.store = cast("SigningKeyStore", held)
    reading = asyncio.create_task(ours.ring.reload())
    await held.arrived.wait()

    await theirs.drop(leaked, COMMAND)
    ours.ring.invalidate()
    held.let_go.set()
    await reading

    assert await ours.find(leaked) is None


async def test_all_who_wait_for_the_keys_share_one_load_and_its_failure(
    process: Process, clock: FakeClock
) -> None:
    """While the database is away nobody waits for another's wait; and one load is enough."""
    keys = process()
    asked = Slow()
    keys.ring.store = cast("SigningKeyStore", asked)
    waiting = [asyncio.create_task(keys.find("key_1")) for _ in range(16)]
    await asked.arrived.wait()
    clock.advance(timedelta(seconds=5))
    asked.let_go.set()

    outcomes = await asyncio.gather(*waiting, return_exceptions=True)

    assert {type(outcome) for outcome in outcomes} == {StoreUnavailable}
    assert asked.count == 1
    with pytest.raises(StoreUnavailable):  # the failure is dated at its end
        await keys.find("key_1")
    assert asked.count == 1
    clock.advance(SECOND)
    with pytest.raises(StoreUnavailable):
        await keys.find("key_1")
    assert asked.count == 2


class Slow:
    """A store that answers late, and then that it cannot be reached."""

    def __init__(self) -> None:
        """Begin with nobody asking."""
        self.count = 0
        self.arrived = asyncio.Event()
        self.let_go = asyncio.Event()

    async def list_keys(self) -> list[SigningKey]:
        """Wait, and fail."""
        self.count += 1
        self.arrived.set()
        await self.let_go.wait()
        raise StoreUnavailable


async def test_a_key_that_is_dropped_has_a_successor_before_it_is_gone(
    process: Process, stores: Stores
) -> None:
    """No request comes between: at every moment some key signs."""
    keys = process()
    await keys.ensure()
    leaked = keys.signing_key()[0]
    held = Held(stores.signing_keys, "retire")
    keys.store = cast("SigningKeyStore", held)

    dropping = asyncio.create_task(keys.drop(leaked, COMMAND))
    await held.arrived.wait()
    other = process()
    await other.ring.reload()
    assert other.signing_key()[0] != leaked
    held.let_go.set()
    await dropping

    assert keys.signing_key()[0] == other.signing_key()[0]


async def test_what_is_published_is_never_older_than_the_feed_allows(
    process: Process, clock: FakeClock
) -> None:
    """A worker that nobody asks hears of a new key when it is asked; unknown keys are no answer."""
    ours, theirs = process(), process()
    await theirs.ensure()
    assert [key["kid"] for key in await ours.ring.published(trusted=True)] == [
        theirs.signing_key()[0]
    ]
    new = (await theirs.rotate(COMMAND)).kid
    assert new in {key["kid"] for key in await ours.ring.published(trusted=False)}
    third = process()
    third.ring.store = open_stores("never-started.db").signing_keys
    with pytest.raises(StoreUnavailable):
        await third.ring.published(trusted=True)


async def test_a_key_dropped_while_its_successor_waits_is_replaced_at_once(
    process: Process, clock: FakeClock
) -> None:
    keys = process()
    await keys.ensure()
    leaked = keys.signing_key()[0]
    await keys.rotate(COMMAND)

    await keys.drop(leaked, COMMAND)

    signing = keys.signing_key()[0]
    assert keys.ring.verification_key(leaked) is None
    clock.advance(PUBLISH_LEAD)
    assert keys.signing_key()[0] == signing


async def test_a_key_dropped_before_it_signs_does_not_stand_in_for_a_rotation(
    process: Process,
) -> None:
    keys = process()
    await keys.ensure()
    waiting = await keys.rotate(COMMAND)
    await keys.drop(waiting.kid, COMMAND)

    assert (await keys.rotate(COMMAND)).kid != waiting.kid


async def test_after_a_drop_of_the_next_key_none_signs_that_others_cannot_know(
    process: Process, clock: FakeClock
) -> None:
    """Whoever keeps the public keys for as long as allowed has each key before its first token."""
    keys = process()
    await keys.ensure()
    first = keys.signing_key()[0]
    clock.advance(PUBLISH_LEAD)
    waiting = await keys.rotate(COMMAND)
    clock.advance(PUBLISH_LEAD - 60 * SECOND)

    await keys.drop(waiting.kid, COMMAND)

    signed = set()
    for second in range(120):
        if second == 90:
            await keys.rotate(COMMAND)
        signed.add(keys.signing_key()[0])
        clock.advance(SECOND)
        if second % 10 == 0:
            await keys.ensure()
    assert signed == {first}
    clock.advance(PUBLISH_LEAD)
    assert keys.signing_key()[0] not in {first, waiting.kid}
    assert await keys.find(first) is not None
    await keys.ensure()
    [old, _, new] = await keys.list_keys()
    assert (old.retires_at, old.gone_at) == (new.not_before, new.not_before + LIFE + LEEWAY)


async def test_an_old_key_is_rotated_without_being_asked(
    process: Process, clock: FakeClock
) -> None:
    keys = process()
    await keys.ensure()
    old = keys.signing_key()[0]
    clock.advance(SIGNING_KEY_LIFE - SECOND)
    await keys.ensure()
    assert len(await published(keys)) == 1

    clock.advance(SECOND)
    await keys.ensure()
    await keys.ensure()

    assert len(await published(keys)) == 2
    clock.advance(PUBLISH_LEAD)
    assert keys.signing_key()[0] != old


async def test_a_process_that_serves_stays_in_step_by_itself(
    process: Process, clock: FakeClock
) -> None:
    keys, other = process(), process()
    await keys.ensure()
    keys.step_every = timedelta(milliseconds=5)
    task = asyncio.create_task(keys.keep_in_step())
    new = (await other.rotate(COMMAND)).kid

    await until(lambda: keys.ring.verification_key(new) is not None)
    clock.advance(PUBLISH_LEAD)
    assert keys.signing_key()[0] == new
    task.cancel()


async def test_a_rotation_cut_short_is_finished_by_the_next_process(
    process: Process, store: SigningKeyStore, clock: FakeClock
) -> None:
    """All servers were killed after the new key was published; they start when it signs."""
    keys = process()
    await keys.ensure()
    await keys.rotate(COMMAND)
    clock.advance(2 * PUBLISH_LEAD)

    await process().ensure()

    old, new = await store.list_keys()
    assert old.retires_at == new.not_before
    assert old.gone_at == new.not_before + LIFE + LEEWAY


async def test_every_key_that_comes_or_goes_is_recorded_once(
    process: Process, stores: Stores, clock: FakeClock
) -> None:
    """The server may have done it by itself, or an operator by a command."""
    processes = [process() for _ in range(6)]
    await asyncio.gather(*(keys.ensure() for keys in processes))
    first = processes[0].signing_key()[0]
    clock.advance(SIGNING_KEY_LIFE)
    await asyncio.gather(*(keys.ensure() for keys in processes))
    clock.advance(PUBLISH_LEAD)
    await asyncio.gather(*(keys.ensure() for keys in processes))
    second = processes[0].signing_key()[0]
    third = (await processes[0].rotate(COMMAND)).kid
    for _ in range(2):
        await processes[1].drop(third, COMMAND)

    events = await newest(stores.events, 99)
    assert len(events) == 5
    told = {(each.name, each.target): (each.actor, *each.detail.values()) for each in events}
    taken_over = NOON + SIGNING_KEY_LIFE + PUBLISH_LEAD
    once_more = taken_over + PUBLISH_LEAD
    assert told == {
        ("signing_key.added", first): ("server", NOON.isoformat()),
        ("signing_key.added", second): ("server", taken_over.isoformat()),
        ("signing_key.retired", first): (
            "server",
            taken_over.isoformat(),
            (taken_over + LIFE + LEEWAY).isoformat(),
        ),
        ("signing_key.added", third): ("command", once_more.isoformat()),
        ("signing_key.retired", third): ("command", *[taken_over.isoformat()] * 2),
    }


async def test_memory_too_old_to_trust_is_not_used_while_the_store_is_away(
    process: Process, clock: FakeClock, tmp_path: Path
) -> None:
    keys = process()
    await keys.ensure()
    kid = keys.signing_key()[0]
    keys.ring.store, reachable = (
        open_stores(str(tmp_path / "never-started.db")).signing_keys,
        keys.ring.store,
    )

    clock.advance(timedelta(seconds=29))
    assert await keys.find(kid) is not None
    clock.advance(SECOND)
    for _ in range(2):
        with pytest.raises(StoreUnavailable):
            await keys.find(kid)

    keys.ring.store = reachable
    clock.advance(SECOND)
    assert await keys.find(kid) is not None


async def test_a_command_with_other_settings_keeps_a_key_as_long_as_its_tokens_live(
    process: Process, store: SigningKeyStore, audit: AuditLog, clock: FakeClock
) -> None:
    """Servers tell with the key how long their tokens live; the longest life counts."""
    await process().ensure()
    longer = SigningKeys(store, MASTER_KEY, audit, clock, access_token_life=2 * LIFE)
    await longer.ensure()  # a server that was started again with another setting
    command = SigningKeys(store, MASTER_KEY, audit, clock, access_token_life=LIFE / 2)

    following = await command.rotate(COMMAND)
    clock.advance(PUBLISH_LEAD)
    await command.ensure()

    before, _ = await store.list_keys()
    assert before.token_life == 2 * LIFE.total_seconds()
    assert before.gone_at == following.not_before + 2 * LIFE + LEEWAY


async def test_a_store_that_is_away_does_not_end_the_keeping_in_step(
    process: Process, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    keys = process()
    reachable = keys.store
    keys.store = keys.ring.store = open_stores(str(tmp_path / "never-started.db")).signing_keys
    keys.step_every = timedelta(milliseconds=5)
    task = asyncio.create_task(keys.keep_in_step())
    await until(lambda: "signing_keys.unreachable" in caplog.messages)

    keys.store = keys.ring.store = reachable

    await until(lambda: bool(keys.ring.records))
    task.cancel()


async def test_another_master_key_is_told_apart_at_the_start(
    process: Process, store: SigningKeyStore, audit: AuditLog, clock: FakeClock
) -> None:
    await process().ensure()
    other = MasterKey.from_text("another-Qm8ZrTx0aWfYbN5uLhJ7pGcE2sVo9Xi1BtRy")

    with pytest.raises(ConfigurationError, match="secret key does not match the database"):
        await SigningKeys(store, other, audit, clock, access_token_life=LIFE).ensure()


async def test_who_can_write_to_the_database_cannot_have_their_own_key_trusted(
    process: Process, store: SigningKeyStore
) -> None:
    await process().ensure()
    (genuine,) = await store.list_keys()

    await store.add(replace(genuine, number=2, kid="key_swapped"), an_event())

    with pytest.raises(ConfigurationError):
        await process().ensure()


async def test_a_public_key_that_is_not_its_private_keys_is_refused(
    process: Process, store: SigningKeyStore
) -> None:
    keys = process()
    forged = replace(keys._make(1, NOON), public_key=bytes(32))
    await store.add(forged, an_event())

    with pytest.raises(ConfigurationError, match="tampered"):
        await keys.ensure()


async def test_nothing_shows_a_private_key(process: Process, store: SigningKeyStore) -> None:
    keys = process()
    await keys.ensure()
    raw = keys.signing_key()[1].private_bytes_raw()

    (record,) = await store.list_keys()

    assert raw not in record.sealed_private_key
    assert "sealed_private_key" not in repr(record)
    assert "Snapshot" not in repr(keys)


ED25519 = public_jwk("key_1", bytes.fromhex("d75a980182b10ab7d54bfed3c964073a" * 2))
ED448 = {
    "crv": "Ed448",
    "x": encode_base64url(
        Ed448PrivateKey.from_private_bytes(b"k" * 57).public_key().public_bytes_raw()
    ),
}


@pytest.mark.parametrize(
    "jwk",
    [
        [],
        ED25519 | {"d": ED25519["x"]},
        ED25519 | {"k": ED25519["x"]},
        ED25519 | {"key_ops": ["sign"]},
        ED25519 | {"key_ops": ["verify", "encrypt"]},
        ED25519 | {"key_ops": ["verify", "verify"]},
        ED25519 | {"key_ops": "verify"},
        ED25519 | {"use": "enc"},
        ED25519 | {"use": None},
        ED25519 | {"kid": ""},
        ED25519 | {"alg": "ES256"},
        ED25519 | {"alg": "none"},
        ED25519 | {"alg": ["EdDSA"]},
        ED25519 | {"x": ED25519["x"] + "="},
        ED25519 | {"x": ED25519["x"][:-2]},
        ED25519 | ED448,
        {key: value for key, value in ED25519.items() if key != "alg"},
        {key: value for key, value in ED25519.items() if key != "kid"},
    ],
    ids=str,
)
def test_a_jwk_that_is_not_one_safe_key_for_one_algorithm_is_refused(jwk: object) -> None:
    with pytest.raises(InvalidKey):
        read_jwk(jwk)


def test_good_jwks_are_read_whatever_else_they_carry() -> None:
    for good in (ED25519, ED25519 | {"key_ops": ["verify"], "x5t": "AA"}):
        assert read_jwk(good).kid == "key_1"


async def until(holds: Callable[[], bool]) -> None:
    """Wait until a condition holds that another task makes true."""
    async with asyncio.timeout(5):
        while not holds():  # noqa: ASYNC110 - the code under test offers no event
            await asyncio.sleep(0.005)
