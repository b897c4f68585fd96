"""The outcome of a sign-in: a session, or a challenge that asks for one more proof.

No challenge is made yet, because the password is the only factor. Every route that signs in calls
`require_signed_in`. So the answer to a challenge is decided in one place.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import assert_never

from gatelodge.sessions.service import SignedIn
from gatelodge.sign_in.refusals import SecondFactorRequired


@dataclass(frozen=True, slots=True)
class Challenge:
    """Asks a user whose password was right for one more proof.

    Attributes:
        id: the id that the client sends with the proof; it works once.
        methods: the factors that are accepted as the proof, such as `totp`.
        expires_at: when the challenge expires.
    """

    id: str
    methods: tuple[str, ...]
    expires_at: datetime


def require_signed_in(outcome: SignedIn | Challenge) -> SignedIn:
    """Return who is signed in.

    Raises:
        SecondFactorRequired: the outcome is a challenge, so nobody is signed in yet.
    """
    match outcome:
        case SignedIn():
            return outcome
        case Challenge():
            raise SecondFactorRequired(outcome.id, outcome.methods)
        case _:
            assert_never(outcome)
