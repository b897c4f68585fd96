"""The question for a second factor, which waits for its proof.

Whoever was asked holds the text of the challenge: its id, and a secret of which the server stores
the SHA-256. So only the browser or program that has proved the first factor can answer.
"""

import hmac
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Literal, TypeAlias, assert_never, get_args

from gatelodge.accounts.store import User, UserStore
from gatelodge.clock import Clock
from gatelodge.credentials.factors import Factor, is_remembered, of_kind, second_factors
from gatelodge.credentials.one_time_tokens import (
    OneTimeToken,
    OneTimeTokenStore,
    digest_of,
    new_token,
)
from gatelodge.ids import SessionId, UserId, new_id
from gatelodge.methods import Methods
from gatelodge.proofs.users import facts_of, is_as_then
from gatelodge.sessions.service import SignedIn
from gatelodge.sign_in.refusals import ChallengeOver, SecondFactorRequired
from gatelodge.tokens.pair import Delivery

SecondMethod: TypeAlias = Literal["totp", "passkey", "recovery_code"]

Tell: TypeAlias = tuple[str, ...]
"""What a user is told when they are signed in: names of attributes of `SignedIn` that are true."""

CHALLENGE_PREFIX = "chl"
LIFE = timedelta(minutes=10)
"""How long a question waits: time to find the phone."""


@dataclass(frozen=True, slots=True)
class Challenge:
    """Asks a user whose first factor was right for a second one.

    Attributes:
        id: the text that the client sends with the proof; it works once.
        methods: the factors that are accepted as the proof, such as `totp`.
        expires_at: when the challenge expires.
    """

    id: str
    methods: tuple[SecondMethod, ...]
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Waiting:
    """A sign-in that waits for its second factor.

    Attributes:
        user: the user, as stored now.
        methods: how the user has proved the first factor.
        delivery: how the tokens are delivered.
        in_place_of: the session whose user proves again who they are; None: it is a new sign-in.
        tell: what the user is to be told.
        token: the record of the challenge.
    """

    user: User
    methods: Methods
    delivery: Delivery
    in_place_of: SessionId | None
    tell: Tell
    token: OneTimeToken


@dataclass(frozen=True, slots=True)
class Challenges:
    """Makes challenges, and finds them again.

    Attributes:
        tokens: their records.
        users: the users.
        clock: what time it is.
    """

    tokens: OneTimeTokenStore
    users: UserStore
    clock: Clock

    async def ask(
        self,
        user: User,
        methods: Methods,
        delivery: Delivery,
        tell: Tell = (),
        *,
        in_place_of: SessionId | None = None,
    ) -> Challenge:
        """Store a challenge for a user, and return it.

        Args:
            user: the user.
            methods: how the user has proved the first factor.
            delivery: how the tokens are delivered.
            tell: what the user is to be told when they are signed in.
            in_place_of: see `Waiting`.

        Raises:
            StoreUnavailable: nothing was changed.
        """
        now = self.clock.now()
        challenge_id = new_id(CHALLENGE_PREFIX, now)
        facts = facts_of(user) | {
            "user": user.id,
            "methods": " ".join(methods),
            "delivery": delivery,
            "session": in_place_of or "",
            "tell": " ".join(tell),
        }
        secret, token = new_token("second_factor", challenge_id, now, LIFE, facts)
        await self.tokens.put(token)
        return Challenge(f"{challenge_id}.{secret}", methods_of(user.factors), token.expires_at)

    async def find(self, text: str) -> Waiting:
        """Return the sign-in that waits for the answer to a challenge; it is not used up.

        Raises:
            ChallengeOver: the text is wrong, was used or is too old; or the user was disabled,
                deleted or signed out everywhere, has another password or address, or no second
                factor any more.
        """
        challenge_id, _, secret = text.partition(".")
        token = await self.tokens.find("second_factor", challenge_id)
        if token is None or not hmac.compare_digest(token.digest, digest_of(secret)):
            raise ChallengeOver
        user = await self.users.find(UserId(token.facts["user"]))
        expired = token.expires_at <= self.clock.now()
        if expired or user is None or not is_as_then(user, token):
            raise ChallengeOver
        if not second_factors(user.factors):  # removed meanwhile: there is nothing to ask for
            raise ChallengeOver
        facts = token.facts
        delivery: Delivery = "cookie" if facts["delivery"] == "cookie" else "bearer"
        session = SessionId(facts["session"]) if facts["session"] else None
        methods, tell = tuple(facts["methods"].split()), tuple(facts["tell"].split())
        return Waiting(user, methods, delivery, session, tell, token)

    async def use_up(self, waiting: Waiting) -> None:
        """Use a challenge up: of many callers with the same one, exactly one goes on.

        Raises:
            ChallengeOver: somebody else was quicker, or it has expired.
        """
        token, now = waiting.token, self.clock.now()
        if not await self.tokens.consume(token.purpose, token.subject, token.digest, now):
            raise ChallengeOver


def failure_of(waiting: Waiting) -> str:
    """Return the event that is noted for a wrong answer of somebody whose sign-in waits."""
    return "sign_in.failed" if waiting.in_place_of is None else "sign_in.again_failed"


def telling(signed_in: SignedIn, tell: Tell) -> SignedIn:
    """Return who is signed in, with what they are to be told."""
    return replace(
        signed_in,
        password_is_breached="password_is_breached" in tell,
        password_is_void="password_is_void" in tell,
    )


def methods_of(factors: Sequence[Factor]) -> tuple[SecondMethod, ...]:
    """Return how a user with these factors can prove the second one, the most usual first."""
    has: dict[SecondMethod, bool] = {
        "totp": bool(of_kind(factors, "totp")),
        "passkey": bool(of_kind(factors, "passkey")),
        "recovery_code": any(each.digests for each in of_kind(factors, "recovery_codes")),
    }
    return tuple(each for each in get_args(SecondMethod) if has[each])


def remembered(user: User, browser: str, at: datetime) -> Factor | None:
    """Return the remembered browser of a user that has this cookie, or None.

    Args:
        user: the user, as stored.
        browser: the cookie: the secrets of several users, with dots between them; may be empty.
        at: the current time.
    """
    digests = [digest_of(each) for each in browser.split(".")] if browser else []
    return next(
        (
            each
            for each in of_kind(user.factors, "browser")
            if is_remembered(each, user.epoch, at)
            and any(hmac.compare_digest(each.digests[0], digest) for digest in digests)
        ),
        None,
    )


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
