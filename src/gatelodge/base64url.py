"""Bytes as text for addresses and tokens: base64url without padding, in one spelling only."""

import base64


def encode_base64url(raw: bytes) -> str:
    """Write bytes as base64url without padding (RFC 7515, section 2)."""
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def decode_base64url(text: str) -> bytes:
    """Return the bytes of canonical, unpadded base64url.

    The decoder of the standard library skips what it does not know and forgives stray bits:
    writing the bytes again shows whether this text is the one way to write them.

    Raises:
        ValueError: it is not.
    """
    raw = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    if encode_base64url(raw) != text:
        raise ValueError("not canonical base64url")
    return raw
