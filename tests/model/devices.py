"""The rules of the refresh protocol, as a simple model (security.md, section 5).

The model uses nothing of the service except the function that writes a token.
"""

from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeAlias

from gatelodge.errors import Refusal
from gatelodge.ids import SessionId, UserId
from gatelodge.sessions.refresh_tokens import RefreshTokens
from gatelodge.sessions.refusals import ExpiredRefreshToken, InvalidRefreshToken, RefreshTokenReused
from gatelodge.sessions.store import Session
from tests.model.lodge import GRACE, IDLE, LIFE

Outcome: TypeAlias = str | type[Refusal]
"""The result of presenting a refresh token: another refresh token, or a refusal."""

REUSED = "refresh_token_reused"
SIGNED_OUT = "signed_out"


@dataclass(eq=False, slots=True)
class Person:
    """A user in the model."""

    id: UserId
    password_hash: str
    epoch: int = 0
    continued: SessionId | None = None
    disabled: bool = False

    def end_sessions(self) -> None:
        """All sessions end."""
        self.epoch += 1
        self.continued = None


@dataclass(eq=False, slots=True)
class Device:
    """A session in the model, and the token that its owner holds.

    Attributes:
        opened: the session's record at the sign-in.
        person: the owner.
        writer: writes the refresh tokens.
        epoch: the owner's epoch that the session belongs to.
        tokens: the refresh tokens of all generations so far. The last one is current.
        traded_at: when each token except the last one was traded.
        used_at: when the session was last used.
        owned: the newest refresh token that the owner was given.
        ended_why: why the session was ended, or None.
        lawful: whether all tokens presented so far came from the owner, and in time.
    """

    opened: Session
    person: Person
    writer: RefreshTokens
    epoch: int
    used_at: datetime
    tokens: list[str] = field(init=False)
    traded_at: list[datetime] = field(default_factory=list)
    owned: str = field(init=False)
    ended_why: str | None = None
    lawful: bool = True

    def __post_init__(self) -> None:
        """Write the first token, which the owner got at the sign-in."""
        self.tokens = [self.writer.write(self.opened, 0)]
        self.owned = self.tokens[0]

    def __repr__(self) -> str:
        """Describe the device, for the steps that Hypothesis prints after a failure."""
        return f"<device, {len(self.tokens) - 1} trades, {self.ended_why or 'not ended'}>"

    @property
    def next_token(self) -> str:
        """The token of the next generation."""
        return self.writer.write(self.opened, len(self.tokens))

    def token_before(self, trades: int) -> str:
        """Return the token that was current so many trades ago, or the first one."""
        return self.tokens[max(-1 - trades, -len(self.tokens))]

    @property
    def expires_at(self) -> datetime:
        """When the session ends even if it is used."""
        return self.opened.created_at + LIFE

    def is_live(self, now: datetime) -> bool:
        """Say whether the owner is signed in, without a look at how long the session was idle."""
        person = self.person
        if self.ended_why is not None or person.disabled or now >= self.expires_at:
            return False
        return self.epoch == person.epoch or self.opened.id == person.continued

    def lives(self, now: datetime) -> bool:
        """Say whether the current token can be traded."""
        return self.is_live(now) and now < self.used_at + IDLE

    def is_forgiven(self, token: str, now: datetime) -> bool:
        """Say whether this token can be presented without looking stolen."""
        traded_at = self.when_traded(token)
        return traded_at is None or now < traded_at + GRACE

    def when_traded(self, token: str) -> datetime | None:
        """Return when a token was first traded, or None if it never was."""
        place = self.tokens.index(token)
        return self.traded_at[place] if place < len(self.traded_at) else None

    def outcome(self, token: str, now: datetime) -> Outcome:
        """Return the result of trading a token."""
        if (refusal := self.refusal(now)) is not None:
            return refusal
        if token == self.tokens[-1]:
            return self.next_token
        if token == self.tokens[-2] and now < self.traded_at[-1] + GRACE:
            return self.tokens[-1]
        return RefreshTokenReused

    def refusal(self, now: datetime) -> type[Refusal] | None:
        """Return the refusal for every token of this session, or None while it lives."""
        if self.ended_why is not None:
            return InvalidRefreshToken
        if now >= min(self.expires_at, self.used_at + IDLE):
            return ExpiredRefreshToken
        return None if self.lives(now) else InvalidRefreshToken

    def follow(self, outcome: Outcome, now: datetime) -> None:
        """Apply the result of a trade to the model."""
        if outcome is RefreshTokenReused:
            self.ended_why = REUSED
        elif outcome == self.next_token:
            self.tokens.append(self.next_token)
            self.traded_at.append(now)
            self.used_at = now
