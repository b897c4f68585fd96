"""base64url without padding, as tokens and URLs use it; only the canonical text is accepted."""

import base64


def encode_base64url(raw: bytes) -> str:
    """Return the bytes as base64url text without padding (RFC 7515, section 2)."""
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def decode_base64url(text: str) -> bytes:
    """Return the bytes of canonical base64url text without padding (RFC 7515, section 2).

    The standard library's decoder ignores unknown characters and unused bits. So the bytes are
    encoded again: the result equals the text only if the text is canonical.

    Raises:
        ValueError: the text is not canonical base64url.
    """
    raw = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    if encode_base64url(raw) != text:
        raise ValueError("not canonical base64url")
    return raw
