"""What a sign-in comes to: a session, or a question that waits for one more proof.

Nothing asks such a question yet, since a password is the only factor. Every door that signs in goes
through `require_signed_in`, so that a second factor changes the answer of all of them in one place.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import assert_never

from gatelodge.sessions.service import SignedIn
from gatelodge.sign_in.refusals import SecondFactorRequired


@dataclass(frozen=True, slots=True)
class Challenge:
    """A question that was asked of somebody whose first proof was right.

    Attributes:
        id: what the proof is sent with; it counts once.
        methods: the factors that are taken as the proof, such as `totp`.
        expires_at: from when on no proof is taken any more.
    """

    id: str
    methods: tuple[str, ...]
    expires_at: datetime


def require_signed_in(outcome: SignedIn | Challenge) -> SignedIn:
    """Return who is signed in.

    Raises:
        SecondFactorRequired: nobody is yet, a question was asked.
    """
    match outcome:
        case SignedIn():
            return outcome
        case Challenge():
            raise SecondFactorRequired(outcome.id, outcome.methods)
        case _:
            assert_never(outcome)
