"""How webhooks are signed, so that the receiver knows who sent them.

Source: Standard Webhooks 1.0.0 (https://www.standardwebhooks.com), with HMAC-SHA256.
"""

import base64
import binascii
import hashlib
import hmac
import itertools
import secrets
from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from typing import TypeAlias

ID = "webhook-id"
TIMESTAMP = "webhook-timestamp"
SIGNATURE = "webhook-signature"

Secrets: TypeAlias = str | Collection[str]
"""A secret, or several while it is changed."""

TOLERANCE = timedelta(minutes=5)
"""How far the clocks of the sender and the receiver may differ, and how late a webhook may come."""

_PREFIX = "whsec_"
_VERSION = "v1"
_SECRET_BYTES = 32
_SHORTEST, _LONGEST = 24, 64


def new_secret() -> str:
    """Return a new secret: `whsec_` and 32 random bytes in base64."""
    return _PREFIX + base64.b64encode(secrets.token_bytes(_SECRET_BYTES)).decode()


def key_of(secret: str) -> bytes:
    """Return the key in a secret, 24 to 64 bytes.

    Raises:
        ValueError: it is no such secret. The message does not show it.
    """
    try:
        key = base64.b64decode(secret.strip().removeprefix(_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not secret.strip().startswith(_PREFIX) or not _SHORTEST <= len(key) <= _LONGEST:
        raise ValueError("A webhook secret is whsec_ and 24 to 64 bytes in base64.") from None
    return key


def keys_of(secrets: Secrets) -> list[bytes]:
    """Return the keys in one or several secrets.

    Raises:
        ValueError: there is none, or one of them is no such secret.
    """
    keys = [key_of(each) for each in ([secrets] if isinstance(secrets, str) else secrets)]
    if not keys:
        raise ValueError("There is no webhook secret.")
    return keys


def signed_headers(secrets: Secrets, message_id: str, at: datetime, body: bytes) -> dict[str, str]:
    """Return the headers that are sent with a webhook: a signature by each of the secrets.

    Args:
        secrets: `whsec_…`, or several.
        message_id: the id of the message; it stays the same if the message is sent again.
        at: the current time.
        body: what is sent, byte for byte.
    """
    timestamp = str(int(at.timestamp()))
    signatures = [_signature(key, message_id, timestamp, body) for key in keys_of(secrets)]
    return {ID: message_id, TIMESTAMP: timestamp, SIGNATURE: " ".join(signatures)}


def is_signed(secrets: Secrets, headers: Mapping[str, str], body: bytes, now: datetime) -> bool:
    """Say whether a webhook was signed with one of the secrets, at most five minutes ago.

    Args:
        secrets: `whsec_…`, or several.
        headers: the headers of the request, with names in lower case.
        body: the body, byte for byte.
        now: the current time.

    Raises:
        ValueError: there is no secret, or one of them is none.
    """
    keys = keys_of(secrets)
    message_id, timestamp = headers.get(ID, ""), headers.get(TIMESTAMP, "")
    offered = headers.get(SIGNATURE, "")
    if not (message_id and message_id.isascii() and offered.isascii()):
        return False
    if not (timestamp.isascii() and timestamp.isdigit()):
        return False
    if abs(int(timestamp[:_DIGITS]) - now.timestamp()) > TOLERANCE.total_seconds():
        return False
    wanted = [_signature(key, message_id, timestamp, body) for key in keys]
    pairs = itertools.product(wanted, offered.split(" "))
    return any([hmac.compare_digest(ours, theirs) for ours, theirs in pairs])  # noqa: C419


def _signature(key: bytes, message_id: str, timestamp: str, body: bytes) -> str:
    signed = f"{message_id}.{timestamp}.".encode() + body
    mac = base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()
    return f"{_VERSION},{mac}"


_DIGITS = 12
"""How many digits of a time are read; more are the time of no webhook."""
