"""Refresh tokens. They are computed from the session, and not stored.

A token is `rt_` and the base64url of: session id (22 bytes), generation (4), seal (16), proof (32).
The seal is an HMAC of id and generation, so that a forged token is refused without a database read.
The proof is an HMAC of id, generation and the session's salt, so that a token cannot be made with
the key alone, nor with the database alone. See `docs/decisions/0006-refresh-tokens.md`.
"""

import hashlib
import hmac
from dataclasses import InitVar, dataclass, field

from gatelodge.base64url import decode_base64url, encode_base64url
from gatelodge.ids import SESSION_PREFIX, SessionId, id_from_bytes, id_to_bytes
from gatelodge.sessions.refusals import InvalidRefreshToken
from gatelodge.sessions.store import Session

PREFIX = "rt_"
_ID_BYTES = 22
_GENERATION_BYTES = 4
_SEAL_BYTES = 16
_PROOF_BYTES = 32
_CLAIM_BYTES = _ID_BYTES + _GENERATION_BYTES
_ALL_BYTES = _CLAIM_BYTES + _SEAL_BYTES + _PROOF_BYTES
_CHARACTERS = len(PREFIX) + -(-_ALL_BYTES * 4 // 3)


@dataclass(frozen=True, slots=True)
class RefreshClaim:
    """The content of a refresh token whose seal is right.

    Attributes:
        session_id: the session that the token belongs to.
        generation: which of the session's tokens it is.
        proof: an HMAC that can be checked only with the session's salt.
    """

    session_id: SessionId
    generation: int
    proof: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class RefreshTokens:
    """Writes and reads refresh tokens.

    Attributes:
        key: 32 secret bytes, which are not in the database.
    """

    key: InitVar[bytes]
    _prepared: hmac.HMAC = field(init=False, repr=False, compare=False)

    def __post_init__(self, key: bytes) -> None:
        """Prepare the key once."""
        object.__setattr__(self, "_prepared", hmac.new(key, digestmod=hashlib.sha256))

    def write(self, session: Session, generation: int) -> str:
        """Return the token of one generation of a session; it is the same text every time."""
        claim = id_to_bytes(SESSION_PREFIX, session.id) + generation.to_bytes(
            _GENERATION_BYTES, "big"
        )
        raw = claim + self._seal(claim) + self._proof(claim, session.salt)
        return PREFIX + encode_base64url(raw)

    def read(self, text: str) -> RefreshClaim:
        """Return the content of a token. Only its seal is checked; `belongs` checks the proof.

        Raises:
            InvalidRefreshToken: the token is malformed, or its seal is wrong.
        """
        raw = _decode(text)
        claim, seal, proof = (
            raw[:_CLAIM_BYTES],
            raw[_CLAIM_BYTES : _CLAIM_BYTES + _SEAL_BYTES],
            raw[_CLAIM_BYTES + _SEAL_BYTES :],
        )
        if not hmac.compare_digest(seal, self._seal(claim)):
            raise InvalidRefreshToken
        return RefreshClaim(
            session_id=SessionId(id_from_bytes(SESSION_PREFIX, claim[:_ID_BYTES])),
            generation=int.from_bytes(claim[_ID_BYTES:], "big"),
            proof=proof,
        )

    def belongs(self, claim: RefreshClaim, session: Session) -> bool:
        """Return whether the token was written for this session, by its proof."""
        raw = id_to_bytes(SESSION_PREFIX, session.id) + claim.generation.to_bytes(
            _GENERATION_BYTES, "big"
        )
        return hmac.compare_digest(claim.proof, self._proof(raw, session.salt))

    def _seal(self, claim: bytes) -> bytes:
        return self._mac(b"seal" + claim)[:_SEAL_BYTES]

    def _proof(self, claim: bytes, salt: bytes) -> bytes:
        return self._mac(b"proof" + claim + salt)

    def _mac(self, message: bytes) -> bytes:
        """Return the HMAC-SHA256. Copying a prepared one does not release the GIL."""
        mac = self._prepared.copy()
        mac.update(message)
        return mac.digest()


def _decode(text: str) -> bytes:
    """Return the bytes of a token.

    Raises:
        InvalidRefreshToken: it is not written in exactly the form that `write` uses.
    """
    if len(text) != _CHARACTERS or not text.startswith(PREFIX):
        raise InvalidRefreshToken
    try:
        return decode_base64url(text[len(PREFIX) :])
    except ValueError as error:
        raise InvalidRefreshToken from error
