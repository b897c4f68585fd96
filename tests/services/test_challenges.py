"""What a sign-in comes to, and how every door answers it."""

import pytest

from gatelodge.accounts.service import NewUser
from gatelodge.app import House
from gatelodge.audit import COMMAND
from gatelodge.sessions.service import SignedIn
from gatelodge.sign_in.challenges import Challenge, require_signed_in
from gatelodge.sign_in.refusals import SecondFactorRequired
from gatelodge.web.responses import refusal_body, refusal_headers, status_of
from tests.support.clock import NOON
from tests.support.people import PASSWORD


async def test_the_right_password_signs_in(house: House) -> None:
    await house.accounts.create(NewUser("ann", "ann@example.com", PASSWORD), COMMAND)

    outcome = await house.sign_in.sign_in("ann", PASSWORD, "bearer", COMMAND.origin)

    assert isinstance(outcome, SignedIn)
    assert require_signed_in(outcome) is outcome


def test_a_question_is_answered_with_what_its_proof_needs() -> None:
    """And with the `accessToken: null` that the tutorial's clients look for."""
    question = Challenge("chl_1", ("totp", "recovery_code"), NOON)

    with pytest.raises(SecondFactorRequired) as caught:
        require_signed_in(question)

    refusal = caught.value
    assert status_of(type(refusal)) == 401
    assert refusal_headers(refusal) == {"WWW-Authenticate": 'Bearer realm="gatelodge"'}
    assert refusal_body(refusal, "req_1") == {
        "code": "second_factor_required",
        "message": "One more proof is needed to sign in.",
        "accessToken": None,
        "challenge": "chl_1",
        "methods": ["totp", "recovery_code"],
        "request_id": "req_1",
    }
    assert "challenge" not in SecondFactorRequired.members
