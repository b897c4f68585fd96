"""The access token in the headers of a request."""

from collections.abc import Iterable, Sequence

from gatelodge.web.refusals import ConflictingTokens


def token_in(headers: Iterable[tuple[bytes, bytes]]) -> str | None:
    """Return the access token in the headers, or None.

    The token is in `Authorization: Bearer …` or in `x-access-token`. An empty header counts as no
    token: the tutorial's clients send it when nobody is signed in.

    Raises:
        ConflictingTokens: the headers carry two different tokens, or a header is malformed (RFC
            6750, section 3.1).
    """
    headers = list(headers)
    bearer = _only([value for name, value in headers if name == b"authorization"])
    plain = _only([value for name, value in headers if name == b"x-access-token"])
    tokens = {token for token in (_bearer_token(bearer), plain) if token}
    if len(tokens) > 1:
        raise ConflictingTokens
    return tokens.pop() if tokens else None


def _only(values: Sequence[bytes]) -> str:
    if len(values) > 1:
        raise ConflictingTokens
    return values[0].decode("latin-1").strip() if values else ""


def _bearer_token(header: str) -> str:
    scheme, _, token = header.partition(" ")
    if scheme.lower() != "bearer":
        return ""
    token = token.strip()
    if not token or " " in token:
        raise ConflictingTokens
    return token
