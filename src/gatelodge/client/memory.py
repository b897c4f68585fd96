"""What was found out about tokens, bounded, and safe to use from several threads."""

from dataclasses import dataclass
from threading import Lock
from typing import TypeAlias

from gatelodge.recent import Recent
from gatelodge.tokens.claims import Claims
from gatelodge.user import User

MAX_TOKENS = 10_000
"""Each takes about 2 KiB."""


@dataclass(frozen=True, slots=True)
class HeldBack:
    """Somebody who has to prove a second factor at the server, or to add one, before all else.

    Attributes:
        has_second_factor: whether there is one to prove.
    """

    has_second_factor: bool


Found: TypeAlias = User | HeldBack | None
"""Who is signed in by a token; None: nobody any more."""


@dataclass(frozen=True, slots=True)
class Known:
    """What is known about a token whose signature was verified.

    Attributes:
        claims: what the token says.
        version: the version of the keys that verified it.
        until: when the token expires, in milliseconds since 1970.
        user: who is signed in; None also if it was not asked yet.
        true_until: until then, `user` counts; 0: it was not asked yet.
    """

    claims: Claims
    version: int
    until: int
    user: Found
    true_until: int


class Memory:
    """The tokens that were verified and used last, by their SHA-256. None that was refused."""

    def __init__(self) -> None:
        """Start empty."""
        self._lock = Lock()
        self._recent: Recent[bytes, Known] = Recent(MAX_TOKENS)

    def find(self, digest: bytes) -> Known | None:
        """Return what is known about a token, or None."""
        with self._lock:
            return self._recent.find(digest)

    def put(self, digest: bytes, known: Known) -> None:
        """Remember a token."""
        with self._lock:
            self._recent.put(digest, known)

    def __len__(self) -> int:
        return len(self._recent)
