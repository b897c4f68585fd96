"""The gate's memory: which principal each verified token stands for, while nothing has changed."""

import functools
from dataclasses import dataclass, field

from gatelodge.gate.principal import Principal
from gatelodge.ids import ROLE_PREFIX
from gatelodge.recent import Recent

MAX_TOKENS = 100_000
"""How many verified tokens are remembered (security.md, section 3)."""

MAX_DEAD = 5_000
"""How many tokens are remembered whose session has ended."""

MAX_CHANGES = 10_000
"""How many changed users and sessions are told apart; older changes count for everybody."""

_PARTS = 352
"""The tokens are kept in so many parts. A `dict` of 100,000 entries that come and go would take
twice the memory, and stop the event loop whenever it is made anew. Parts of about 284 do neither:
up to 341 entries, Python makes them anew with 1,024 places."""

_ROLE = f"{ROLE_PREFIX}:"


@dataclass(slots=True)
class Known:
    """What a token stands for. There are very many of them, so it holds no more than it must.

    Attributes:
        principal: who is signed in, and until when; of a session that has ended, only the ids and
            the time count.
        version: the number of a change; since then, nothing changed that matters to it.
        used: whether a request found it since it was last passed over to make room.
    """

    principal: Principal
    version: int
    used: bool = False


@dataclass(slots=True)
class Memory:
    """The principals of verified tokens. It is bounded, and it holds no token that was refused.

    Every change has a number. `_changed` holds the number of the last change of each user and each
    session; `_floor` is the number of the last change that counts for everybody. What was read from
    the store has the number of the change before the read as its `version`. It counts only while no
    change of its user, its session or everybody has a higher number. So it makes no difference
    whether a change came long after the read or while it was going on.

    The tokens are kept by the SHA-256 of the whole token, so the token itself is not in memory.

    Attributes:
        changes: the number of the last change.
        keys: the version of the signing keys under which the tokens were verified.
    """

    changes: int = 0
    keys: int = -1
    _floor: int = 0
    _changed: dict[str, int] = field(default_factory=dict)
    _count: int = 0
    _parts: list[dict[bytes, Known]] = field(default_factory=lambda: [{} for _ in range(_PARTS)])
    _dead: Recent[bytes, Known] = field(default_factory=lambda: Recent(MAX_DEAD))

    def recall(self, digest: bytes, now: int) -> Principal | None:
        """Return who is signed in by a token, or None if memory does not know.

        Args:
            digest: the SHA-256 of the token.
            now: milliseconds since 1970.
        """
        known = self._parts[hash(digest) % _PARTS].get(digest)
        if known is None or now >= known.principal.until:
            return None
        if known.version != self.changes and not self._is_current(known):
            return None
        known.used = True
        return known.principal

    def is_dead(self, digest: bytes, now: int) -> bool:
        """Return whether the token's session is known to have ended."""
        known = self._dead.find(digest)
        return known is not None and now < known.principal.until and self._is_current(known)

    def verified(self, digest: bytes, now: int) -> Known | None:
        """Return what is known about a token that has not expired; a change may have made it old.

        Its signature was checked, and so were the ids in it.
        """
        known = self._parts[hash(digest) % _PARTS].get(digest)
        return None if known is None or now >= known.principal.until else known

    def keep(self, digest: bytes, known: Known) -> None:
        """Remember a token whose session is live."""
        self._dead.forget(digest)
        part = self._parts[hash(digest) % _PARTS]
        known.used = digest in part
        if not known.used:
            if self._count >= MAX_TOKENS:
                self._drop_one(part)
            self._count += 1
        part[digest] = known

    def keep_dead(self, digest: bytes, known: Known) -> None:
        """Remember a token whose session has ended. It takes no place of a live one.

        The session may live again: when its user is enabled, for example.
        """
        if self._parts[hash(digest) % _PARTS].pop(digest, None) is not None:
            self._count -= 1
        self._dead.put(digest, known)

    def forget(self, changed: str | None) -> None:
        """Note a change of the user, session or role with this id; None: of everything.

        When a role changes, everybody's principal is read again: memory does not know who holds the
        role, and roles change rarely. The signatures that were checked stay checked.
        """
        self.changes += 1
        if changed is None:
            self.forget_tokens(keys=self.keys)
        if changed is None or changed.startswith(_ROLE):
            self._floor = self.changes
            self._changed.clear()
            return
        self._changed.pop(changed, None)  # the newest change is the last one
        self._changed[changed] = self.changes
        if len(self._changed) > MAX_CHANGES:
            oldest = next(iter(self._changed))
            self._floor = self._changed.pop(oldest)

    def forget_tokens(self, *, keys: int) -> None:
        """Forget every token that was verified; `keys` is the version of the keys from now on."""
        self.keys = keys
        self._count = 0
        for part in self._parts:
            part.clear()
        self._dead.clear()

    def _is_current(self, known: Known) -> bool:
        """Return whether nothing that matters to an entry changed since; note that it did not."""
        principal, last = known.principal, self._changed.get
        newest = max(self._floor, last(principal.subject, 0), last(principal.session_id, 0))
        if principal.impersonation is not None:
            newest = max(newest, *(last(each, 0) for each in principal.watched))
        if known.version < newest:
            return False
        known.version = self.changes
        return True

    def _drop_one(self, part: dict[bytes, Known]) -> None:
        """Drop the oldest token of a part that nobody used since it was last passed over.

        If all were used, the oldest goes; if the part is empty, one of another part. So tokens that
        are shown once do not drive out those in use, however many there are.
        """
        part = part or next(filter(None, self._parts))
        passed_over = []
        for digest, known in part.items():
            if not known.used:
                break
            known.used = False
            passed_over.append(digest)
        for digest in passed_over:  # they come last now
            part[digest] = part.pop(digest)
        del part[next(iter(part))]
        self._count -= 1

    def __len__(self) -> int:
        return self._count


@functools.lru_cache(maxsize=1024)
def kept_once(until: int) -> int:
    """Return the same object for all tokens that expire in the same second: it saves memory."""
    return until
