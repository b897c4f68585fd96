"""Factors: what users have besides a password to prove who they are, and the port that stores it.

The factors of a user are part of the user's record, so each verb changes one record: a code that
works once, and the last factor that must stay, are decided by one write in every store.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Literal, NewType, Protocol, TypeAlias

from gatelodge.audit import Event
from gatelodge.errors import AlreadyExists
from gatelodge.ids import UserId

FactorId = NewType("FactorId", str)
FACTOR_PREFIX = "fac"

FactorKind: TypeAlias = Literal["totp", "passkey", "recovery_codes", "browser"]

SECOND_FACTORS: tuple[FactorKind, ...] = ("totp", "passkey")
"""The kinds that a sign-in asks for. The others only stand in for one of these."""


@dataclass(frozen=True, slots=True)
class Factor:
    """Something that a user has to prove who they are.

    Attributes:
        id: its id.
        kind: `totp`: an authenticator app; `passkey`; `recovery_codes`: all unused ones together;
            `browser`: a remembered browser, in which no second factor is asked for.
        name: what the user calls it; at most 100 characters. For a browser, what it says of itself.
        created_at: when it was added.
        last_used_at: when it last proved the user, or None.
        counter: of an authenticator app, the last step that was used (RFC 6238), of a passkey its
            sign count, of a browser the user's epoch: it is remembered while both are equal.
        sealed_secret: the encrypted secret of an authenticator app, or None.
        digests: the SHA-256 of each unused recovery code, or of the secret in a browser's cookie.
        expires_at: when a browser is not remembered any more, or None.
        credential_id: the id of a passkey, in base64url; unique for all users. None for others.
        public_key: the public key of a passkey (COSE, RFC 9052), or None.
        transports: how a browser reaches a passkey, such as `internal`.
        syncable: whether a passkey can be copied to other devices of its owner ("backup eligible"
            in WebAuthn); it never changes.
        synced: whether it was copied ("backed up"), when it was last used.
    """

    id: FactorId
    kind: FactorKind
    name: str
    created_at: datetime
    last_used_at: datetime | None = None
    counter: int = 0
    sealed_secret: bytes | None = field(default=None, repr=False)
    digests: tuple[bytes, ...] = field(default=(), repr=False)
    expires_at: datetime | None = None
    credential_id: str | None = None
    public_key: bytes | None = field(default=None, repr=False)
    transports: tuple[str, ...] = ()
    syncable: bool = False
    synced: bool = False


Factors: TypeAlias = tuple[Factor, ...]

Change: TypeAlias = Callable[[Factors], Factors | None]
"""Says what the stored factors of a user become; None: nothing is changed."""


class LastFactor(Exception):
    """It is the user's last second factor, and one must stay; nothing was changed."""


class NotFirst(Exception):
    """There is a second factor already, and it was to be the first one; nothing was changed."""


class FactorStore(Protocol):
    """The stored factors of users."""

    async def change(
        self,
        user_id: UserId,
        change: Change,
        event: Event | None = None,
        *,
        epoch: int | None = None,
        ends_sessions: bool = False,
    ) -> Factors | None:
        """Change the factors of a user, and return them as they are after that.

        Atomic, and durable when it returns: nobody changes the factors between `change` and the
        write. `change` may be called several times, with what others have stored meanwhile; what it
        raises is raised, and nothing is changed.

        Args:
            user_id: the user.
            change: see `Change`, and the functions below.
            event: stored with the change: both, or neither. None: there is none.
            epoch: the epoch that the user must have; such a user must be enabled too. None: it does
                not matter.
            ends_sessions: whether the epoch rises, which ends every session.

        Returns:
            The factors; None if nothing was changed: there is no such user, or `change` says so.

        Raises:
            AlreadyExists: some user has an added passkey (`field` is `credential_id`). Of several
                callers with one passkey, exactly one adds it.
        """


def adding(
    factor: Factor, *, limit: int, codes: Factor | None = None, must_be_first: bool = False
) -> Change:
    """Add a factor, if there are fewer than `limit` of its kind.

    It raises `AlreadyExists` if the user has the same passkey.

    Args:
        factor: the factor.
        limit: how many of its kind a user has at most.
        codes: the recovery codes that are added in the same write, if the user has none.
        must_be_first: whether the user must have no second factor yet, because whoever asks has
            proved none: else the change raises `NotFirst`.
    """

    def change(factors: Factors) -> Factors | None:
        if must_be_first and second_factors(factors):
            raise NotFirst
        passkeys = {each.credential_id for each in of_kind(factors, "passkey")}
        if factor.credential_id in passkeys:
            raise AlreadyExists("credential_id")
        if len(of_kind(factors, factor.kind)) >= limit:
            return None
        if codes is None or of_kind(factors, "recovery_codes"):
            return (*factors, factor)
        return (*factors, factor, codes)

    return change


def replacing(factor: Factor) -> Change:
    """Put a factor in the place of all of its kind, if the user has a second factor."""

    def change(factors: Factors) -> Factors | None:
        if not second_factors(factors):
            return None
        return (*(each for each in factors if each.kind != factor.kind), factor)

    return change


def remembering(browser: Factor, *, most: int) -> Change:
    """Add a browser, if the user has a second factor. At most `most` browsers are kept.

    Browsers of another epoch than the new one, and those whose time is over, are removed. If there
    are still too many, the oldest are removed.
    """

    def change(factors: Factors) -> Factors | None:
        if not second_factors(factors):
            return None
        others = tuple(each for each in factors if each.kind != "browser")
        counting = [
            each
            for each in of_kind(factors, "browser")
            if is_remembered(each, browser.counter, browser.created_at)
        ]
        return (*others, *counting[len(counting) - most + 1 :], browser)

    return change


def using_step(factor_id: FactorId, step: int, at: datetime) -> Change:
    """Use a step of an authenticator app up, if it is after the last one: it works once."""

    def used(factor: Factor) -> Factor | None:
        later = factor.kind == "totp" and step > factor.counter
        return replace(factor, counter=step, last_used_at=at) if later else None

    return _changing(factor_id, used)


def using_code(digest: bytes, at: datetime) -> Change:
    """Use the recovery code with this digest up: it works once."""

    def change(factors: Factors) -> Factors | None:
        for each in of_kind(factors, "recovery_codes"):
            if digest in each.digests:
                left = tuple(other for other in each.digests if other != digest)
                return _with(factors, replace(each, digests=left, last_used_at=at))
        return None

    return change


def using_passkey(factor_id: FactorId, sign_count: int, at: datetime, *, synced: bool) -> Change:
    """Store the sign count of a passkey that was used.

    It must be higher than the stored one, unless both are 0 (WebAuthn Level 3, section 7.2).
    """

    def used(factor: Factor) -> Factor | None:
        higher = sign_count > factor.counter or sign_count == factor.counter == 0
        if factor.kind != "passkey" or not higher:
            return None
        return replace(factor, counter=sign_count, last_used_at=at, synced=synced)

    return _changing(factor_id, used)


def renaming(factor_id: FactorId, name: str) -> Change:
    """Give a factor another name."""

    def renamed(factor: Factor) -> Factor | None:
        return replace(factor, name=name) if factor.name != name else None

    return _changing(factor_id, renamed)


def removing(factor_id: FactorId, *, unless_last: bool = False) -> Change:
    """Remove a factor.

    With the last second factor, the recovery codes and remembered browsers go too: they only stand
    in for it.

    Args:
        factor_id: the factor.
        unless_last: whether the last second factor must stay: then the change raises `LastFactor`.
    """

    def change(factors: Factors) -> Factors | None:
        left = tuple(each for each in factors if each.id != factor_id)
        if left == factors:
            return None
        if second_factors(left):
            return left
        if unless_last and second_factors(factors):
            raise LastFactor
        return ()

    return change


def removing_all() -> Change:
    """Remove all factors; it is a change even if there are none."""
    return lambda _factors: ()


def second_factors(factors: Iterable[Factor]) -> list[Factor]:
    """Return those that a sign-in asks for."""
    return [each for each in factors if each.kind in SECOND_FACTORS]


def find_factor(factors: Iterable[Factor], factor_id: str) -> Factor | None:
    """Return the factor with this id, or None."""
    return next((each for each in factors if each.id == factor_id), None)


def of_kind(factors: Iterable[Factor], kind: FactorKind) -> list[Factor]:
    """Return the factors of a kind, in the order in which they were added."""
    return [each for each in factors if each.kind == kind]


def credential_ids_of(factors: Iterable[Factor]) -> set[str]:
    """Return the ids of the passkeys among these factors."""
    return {each.credential_id for each in factors if each.credential_id is not None}


def is_remembered(browser: Factor, epoch: int, at: datetime) -> bool:
    """Say whether no second factor is asked for in a browser of a user with this epoch."""
    ends_at = browser.expires_at
    return browser.counter == epoch and ends_at is not None and at < ends_at


def counting(factors: Iterable[Factor], epoch: int, at: datetime) -> list[Factor]:
    """Return the factors of a user with this epoch, without browsers that are forgotten."""
    return [each for each in factors if each.kind != "browser" or is_remembered(each, epoch, at)]


def _changing(factor_id: FactorId, changed: Callable[[Factor], Factor | None]) -> Change:
    """Change one factor, if there is such a factor and it is to be changed."""

    def change(factors: Factors) -> Factors | None:
        found = find_factor(factors, factor_id)
        after = changed(found) if found else None
        return _with(factors, after) if after else None

    return change


def _with(factors: Factors, changed: Factor) -> Factors:
    return tuple(changed if each.id == changed.id else each for each in factors)
