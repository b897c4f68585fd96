"""Browsers that a user has signed in with before, known by a cookie of their own.

The cookie has a random number and, for each of the last users of the browser, a keyed hash of that
number and the user. It says nothing to anybody else, and nothing is stored on the server.
"""

import hmac
import re
import secrets
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from gatelodge.accounts.store import User
from gatelodge.base64url import encode_base64url

DeviceNews: TypeAlias = Literal["first", "known", "new"]
"""`first`: the user never signed in before."""

_MOST = 8
_NONCE_BYTES = 12
_MARK_BYTES = 12
_OURS = re.compile(rf"[\w-]{{16}}(?:\.[\w-]{{16}}){{0,{_MOST}}}", re.ASCII)
"""A number, and what marks the users; 12 bytes are 16 characters."""


@dataclass(frozen=True, slots=True)
class KnownDevices:
    """Recognises the browsers of users.

    Attributes:
        key: the key of the hashes.
    """

    key: bytes = field(repr=False)

    def news_of(self, cookie: str | None, user: User) -> DeviceNews:
        """Say whether a user, as read before the sign-in, has used this browser before.

        Args:
            cookie: the browser's cookie; empty: it has none. None: somebody who is signed in has
                asked by a program, which has no cookies and needs none.
            user: the user.
        """
        if cookie is None:
            return "known"
        if user.last_sign_in_at is None:
            return "first"
        if not _OURS.fullmatch(cookie):
            return "new"
        nonce, *marks = cookie.split(".")
        mark = self._mark(nonce, user)
        found = any(hmac.compare_digest(mark, each) for each in marks)
        return "known" if found else "new"

    def with_user(self, cookie: str, user: User) -> str:
        """Return the cookie of a browser that a user has signed in with.

        Nothing is taken over from a cookie that has not the form of ours.
        """
        if not _OURS.fullmatch(cookie):
            cookie = encode_base64url(secrets.token_bytes(_NONCE_BYTES))
        nonce, *marks = cookie.split(".")
        mark = self._mark(nonce, user)
        others = [each for each in marks if each != mark]
        return ".".join([nonce, mark, *others[: _MOST - 1]])

    def _mark(self, nonce: str, user: User) -> str:
        digest = hmac.digest(self.key, f"{nonce}:{user.id}".encode(), "sha256")
        return encode_base64url(digest[:_MARK_BYTES])
