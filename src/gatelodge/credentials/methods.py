"""The ways of proving who one is, as sessions and tokens name them.

Events name them otherwise, by the words that people use.
"""

from typing import TypeAlias

Methods: TypeAlias = tuple[str, ...]
"""How a user was proven: values of the claim `amr` (RFC 8176, section 2)."""

PASSWORD = "pwd"  # noqa: S105 - the registered name of the method
BY_PASSWORD: Methods = (PASSWORD,)

_FACTORS = {PASSWORD: "password"}


def factors_of(methods: Methods) -> list[str]:
    """Return the factors that events name for these methods.

    A method that has none is named itself.
    """
    return [_FACTORS.get(method, method) for method in methods]
