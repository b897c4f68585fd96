"""Refresh tokens are computed and not stored, and nobody can forge them."""

import secrets
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatelodge.sessions.refresh_tokens import RefreshTokens
from gatelodge.sessions.refusals import InvalidRefreshToken
from tests.contracts.builders import a_session

TOKENS = RefreshTokens(b"k" * 32)
SESSION = a_session()


def test_a_token_is_the_same_text_every_time() -> None:
    """So every tab and every retry has the same token."""
    assert TOKENS.write(SESSION, 7) == TOKENS.write(SESSION, 7)
    assert TOKENS.write(SESSION, 7) != TOKENS.write(SESSION, 8)
    assert TOKENS.write(SESSION, 7).startswith("rt_")


@given(st.integers(min_value=0, max_value=2**32 - 1))
def test_what_was_written_is_read(generation: int) -> None:
    """The session and the generation come back, and the proof fits the session."""
    claim = TOKENS.read(TOKENS.write(SESSION, generation))
    assert (claim.session_id, claim.generation) == (SESSION.id, generation)
    assert TOKENS.belongs(claim, SESSION)


def test_a_token_belongs_to_its_session_alone() -> None:
    """It does not belong to a session with another salt, or to another session."""
    claim = TOKENS.read(TOKENS.write(SESSION, 1))
    assert not TOKENS.belongs(claim, replace(SESSION, salt=secrets.token_bytes(32)))
    assert not TOKENS.belongs(claim, a_session())


def test_another_key_reads_nothing() -> None:
    """Whoever has only the database cannot make a token."""
    with pytest.raises(InvalidRefreshToken):
        RefreshTokens(b"x" * 32).read(TOKENS.write(SESSION, 1))


def test_no_single_changed_character_is_accepted() -> None:
    """The character may be in the claim, in the seal or in the proof.

    The proof can only be checked with the session.
    """
    token = TOKENS.write(SESSION, 1)
    for place in range(3, len(token)):
        for other in "Aa0-":
            if token[place] == other:
                continue
            forged = token[:place] + other + token[place + 1 :]
            try:
                claim = TOKENS.read(forged)
            except InvalidRefreshToken:
                continue
            assert not TOKENS.belongs(claim, SESSION), place


@given(st.text(max_size=200))
def test_any_text_is_refused(text: str) -> None:
    """No other exception is raised."""
    for presented in (text, "rt_" + text, TOKENS.write(SESSION, 1) + text[:1] + " "):
        with pytest.raises(InvalidRefreshToken):
            TOKENS.read(presented)
