"""The methods by which users prove who they are, as sessions and tokens name them.

Events use other names, such as `password` for `pwd`.
"""

from functools import lru_cache
from typing import Literal, TypeAlias

Methods: TypeAlias = tuple[str, ...]
"""How a user proved who they are: values of the claim `amr` (RFC 8176, section 2)."""

Level: TypeAlias = Literal[1, 2]
"""How sure the proof is, as NIST SP 800-63B-4 counts: 1 for one factor, 2 for several."""

PASSWORD = "pwd"  # noqa: S105 - the registered name of the method
BY_PASSWORD: Methods = (PASSWORD,)

BY_EMAIL_CODE: Methods = ("otp",)
"""A code from a letter. RFC 8176 has one name for all codes that work once."""

BY_CODE_OF_FACTOR: Methods = ("otp",)
"""A code of an authenticator app, or a recovery code."""

BY_PASSKEY_OF_FACTOR: Methods = ("pop",)
"""A passkey as the second factor: it shows that the user has it."""

SEVERAL_FACTORS = "mfa"
"""The user proved several factors, which are named beside it."""

BY_PASSKEY: Methods = ("pop", SEVERAL_FACTORS)
"""A passkey alone. It has verified its user by a PIN or a finger: so it counts as two factors."""

_FACTORS = {PASSWORD: "password", "otp": "totp", "pop": "passkey"}


def factors_of(methods: Methods) -> list[str]:
    """Return the names of these methods in events.

    A method without such a name keeps its own. A code that works once is from a letter if it comes
    first, and else of an authenticator app, or a recovery code in its place.
    """
    if methods[:1] != BY_EMAIL_CODE:
        return [_FACTORS.get(each, each) for each in methods if each != SEVERAL_FACTORS]
    others = methods[1:]
    second = ["totp"] if others == (SEVERAL_FACTORS,) else factors_of(others)
    return ["email_code", *second]


def together(*given: Methods) -> Methods:
    """Return the methods of several proofs of one user, each once, in order."""
    return tuple(dict.fromkeys(method for methods in given for method in methods))


def with_second_factor(first: Methods, second: Methods) -> Methods:
    """Return the methods of a user who has proved two different factors."""
    return together(first, second, (SEVERAL_FACTORS,))


def level_of(methods: Methods | frozenset[str]) -> Level:
    """Return how sure the proof by these methods is."""
    return 2 if SEVERAL_FACTORS in methods else 1


def acr_of(methods: Methods) -> str:
    """Return the level as the claim `acr` names it: `aal1` or `aal2` (RFC 9068, section 2.2.1)."""
    return f"aal{level_of(methods)}"


@lru_cache(maxsize=256)
def kept_once(methods: Methods) -> Methods:
    """Return the same object for all sessions with these methods: it saves memory."""
    return methods


@lru_cache(maxsize=256)
def as_set(methods: Methods) -> frozenset[str]:
    """Return the methods as a set, the same object for the same methods."""
    return frozenset(methods)
