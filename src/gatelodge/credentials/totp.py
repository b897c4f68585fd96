"""Codes of authenticator apps: six digits that change every 30 seconds (TOTP, RFC 6238)."""

import base64
import hmac
import secrets
from datetime import datetime

from pyotp import TOTP

from gatelodge.clock import to_milliseconds

SECRET_BYTES = 20
"""The length that RFC 4226, section 4, recommends: that of an HMAC-SHA-1."""

DIGITS = 6
_STEP_MILLISECONDS = 30_000


def new_secret() -> bytes:
    """Return a random secret for an authenticator app."""
    return secrets.token_bytes(SECRET_BYTES)


def typed_secret(secret: bytes) -> str:
    """Return a secret as people type it into an app: in base32 (RFC 4648, section 6)."""
    return base64.b32encode(secret).decode()


def app_address(secret: bytes, issuer: str, account: str) -> str:
    """Return the `otpauth:` address of a secret, which apps read from a QR code.

    Args:
        secret: the secret.
        issuer: the name of the site, as the app shows it.
        account: the name of the user there.
    """
    return _totp(secret).provisioning_uri(name=account, issuer_name=issuer.replace(":", " "))


def step_at(at: datetime) -> int:
    """Return the number of the 30 seconds in which an instant lies, counted from 1970."""
    return to_milliseconds(at) // _STEP_MILLISECONDS


def code_of(secret: bytes, step: int) -> str:
    """Return the code that an app shows in a step."""
    return _totp(secret).generate_otp(step)


def matching_step(secret: bytes, code: str, at: datetime) -> int | None:
    """Return the step of a code, or None if it is wrong.

    The code of the step before is right too: clocks differ, and typing takes time (RFC 6238,
    section 5.2). Whether the step was used before is for the caller to find out.

    Args:
        secret: the secret.
        code: the code as typed; blanks between the digits do not count.
        at: the current time.
    """
    typed = "".join(code.split()).encode("utf-8", "surrogatepass")
    now = step_at(at)
    right = [
        step
        for step in (now, now - 1)
        if hmac.compare_digest(code_of(secret, step).encode(), typed)
    ]
    return right[0] if right else None


def _totp(secret: bytes) -> TOTP:
    return TOTP(typed_secret(secret), digits=DIGITS, interval=_STEP_MILLISECONDS // 1000)
