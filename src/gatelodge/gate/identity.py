"""What forward-auth tells the proxy of the caller, and what the proxy asks for."""

from urllib.parse import parse_qsl

from gatelodge.gate.principal import Principal


def identity_headers(principal: Principal) -> list[tuple[bytes, bytes]]:
    """Return the headers that name the caller to whatever the proxy guards."""
    return [
        (b"x-auth-user", principal.username.encode()),
        (b"x-auth-subject", principal.subject.encode()),
        (b"x-auth-roles", ",".join(principal.roles).encode()),
    ]


def roles_asked_for(query: bytes) -> tuple[str, ...] | None:
    """Return the roles of a query of nothing but `role=…`; None where it says anything else."""
    pairs = parse_qsl(query.decode("latin-1"), keep_blank_values=True)
    if not pairs or any(name != "role" or not value for name, value in pairs):
        return None
    return tuple(dict.fromkeys(value for _, value in pairs))
