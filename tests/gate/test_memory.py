"""The gate's memory is bounded, whatever tokens it gets."""

import asyncio
import base64
import secrets
from collections.abc import Callable
from pathlib import Path

import pytest

from gatelodge.app import House
from gatelodge.gate import memory
from gatelodge.gate.principal import Principal
from gatelodge.tokens.refusals import InvalidToken
from tests.contracts.builders import an_event
from tests.gate.houses import Device, asked, houses, new_device

BAD_TOKENS = 2_000
FEW_DEAD = 1_000
USERS = FEW_DEAD + 500
AT_ONCE = 500


def nonsense(_good: str) -> str:
    """Return a text that is not a token."""
    return secrets.token_urlsafe(120)


def of_another_key(good: str) -> str:
    """Return a token that names a key which does not exist."""
    header = f'{{"alg":"EdDSA","typ":"at+jwt","kid":"key_{secrets.token_hex(18)}"}}'
    encoded = base64.urlsafe_b64encode(header.encode()).rstrip(b"=").decode()
    return ".".join([encoded, *good.split(".")[1:]])


def with_another_signature(good: str) -> str:
    """Return a token with a wrong signature."""
    signature = base64.urlsafe_b64encode(secrets.token_bytes(64)).rstrip(b"=").decode()
    return ".".join([*good.split(".")[:2], signature])


def with_other_claims(good: str) -> str:
    """Return a token with changed claims."""
    header, _, signature = good.split(".")
    claims = base64.urlsafe_b64encode(secrets.token_bytes(180)).rstrip(b"=").decode()
    return ".".join([header, claims, signature])


FORGERIES: tuple[Callable[[str], str], ...] = (
    nonsense,
    of_another_key,
    with_another_signature,
    with_other_claims,
)


async def test_bad_tokens_leave_nothing_behind(tmp_path: Path) -> None:
    """Two thousand different bad tokens are refused. A device that was known is still known."""
    async with houses(tmp_path, "", number=1) as (house,):
        device = await new_device(house)
        assert isinstance(await asked(house, device.token), Principal)
        for number in range(BAD_TOKENS):
            bad = FORGERIES[number % len(FORGERIES)](device.token)
            with pytest.raises(InvalidToken):
                await house.gate.authenticate(bad)
        assert len(house.gate.memory) == 1
        assert len(house.gate.memory._dead) == 0
        assert house.gate.recall(device.token.encode()) is not None


async def test_no_more_than_a_bounded_number_of_ended_sessions_is_remembered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each user is let in, signs out, and is then refused."""
    monkeypatch.setattr(memory, "MAX_DEAD", FEW_DEAD)
    async with houses(tmp_path, "", number=1) as (house,):
        for _ in range(USERS // AT_ONCE):
            devices = await asyncio.gather(*(new_device(house) for _ in range(AT_ONCE)))
            answers = await asyncio.gather(*(asked(house, each.token) for each in devices))
            assert all(isinstance(answer, Principal) for answer in answers)
            await asyncio.gather(*(sign_out(house, each) for each in devices))
            answers = await asyncio.gather(*(asked(house, each.token) for each in devices))
            assert set(answers) == {InvalidToken}
            assert len(house.gate.memory) == 0, "the tokens of ended sessions take no places"
        assert len(house.gate.memory._dead) == FEW_DEAD


async def sign_out(house: House, device: Device) -> None:
    """End a session."""
    await house.stores.sessions.revoke(
        device.session.id, house.clock.now(), "signed_out", an_event()
    )
