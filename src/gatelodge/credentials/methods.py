"""The methods by which users prove who they are, as sessions and tokens name them.

Events use other names, such as `password` for `pwd`.
"""

from typing import TypeAlias

Methods: TypeAlias = tuple[str, ...]
"""How a user proved who they are: values of the claim `amr` (RFC 8176, section 2)."""

PASSWORD = "pwd"  # noqa: S105 - the registered name of the method
BY_PASSWORD: Methods = (PASSWORD,)

BY_EMAIL_CODE: Methods = ("otp",)
"""A code from a letter. RFC 8176 has one name for all codes that work once."""

_FACTORS = {PASSWORD: "password"}


def factors_of(methods: Methods) -> list[str]:
    """Return the names of these methods in events.

    A method without such a name keeps its own.
    """
    if methods == BY_EMAIL_CODE:
        return ["email_code"]
    return [_FACTORS.get(method, method) for method in methods]
