"""The table "who may call" of `docs/api.md`: made from the routes' own rules, and read back."""

import re
from collections.abc import Iterable

from gatelodge.accounts.roles import SEEDED_ROLES
from gatelodge.accounts.store import Rights
from gatelodge.app import DOORS
from gatelodge.tokens.refusals import InvalidToken
from gatelodge.web.door import Declared, Door
from gatelodge.web.responses import status_of

NOBODY = "nobody"
DISABLED = "disabled"
SIGNED_OUT = "signed out"
OTHER_KIND = "other kind of token"

ROLES: dict[str, tuple[str, ...]] = {
    "user": ("user",),
    "moderator": ("user", "moderator"),
    "admin": ("user", "admin"),
}
"""The roles that each kind of signed-in caller holds."""

KINDS = (NOBODY, *ROLES, DISABLED, SIGNED_OUT, OTHER_KIND)
"""Every kind of caller, as the table's columns name them."""

UNKNOWN = {"session_id": "ses_unknown", "factor_id": "fac_unknown", "user_id": "usr_unknown"}
"""What stands in a path where an id of a kind is asked for: one that nothing has."""

ANSWER_TO_THE_TRIAL: dict[tuple[str, str], int] = {
    ("GET", "/metrics"): 404,
    ("POST", "/api/auth/signup"): 400,
    ("POST", "/api/auth/signup/passkey"): 400,
    ("POST", "/api/auth/signup/passkey/options"): 400,
    ("POST", "/api/auth/invitation"): 400,
    ("POST", "/api/auth/signin"): 400,
    ("POST", "/api/auth/signin/code"): 400,
    ("POST", "/api/auth/signin/totp"): 400,
    ("POST", "/api/auth/signin/recovery"): 400,
    ("POST", "/api/auth/signin/passkey"): 400,
    ("POST", "/api/auth/again"): 400,
    ("POST", "/api/auth/again/code"): 403,
    ("POST", "/api/auth/password"): 400,
    ("POST", "/api/auth/password/forgot"): 400,
    ("POST", "/api/auth/password/reset"): 400,
    ("POST", "/api/auth/email/resend"): 400,
    ("POST", "/api/auth/email/verify"): 400,
    ("POST", "/api/auth/email"): 400,
    ("POST", "/api/auth/refresh"): 401,
    ("POST", "/api/auth/refreshtoken"): 403,
    ("DELETE", "/api/auth/sessions/{session_id}"): 404,
    ("DELETE", "/api/auth/me"): 415,
    ("POST", "/api/auth/factors/totp/confirm"): 400,
    ("POST", "/api/auth/factors/passkey"): 400,
    ("POST", "/api/auth/factors/recovery-codes"): 409,
    ("PATCH", "/api/auth/factors/{factor_id}"): 400,
    ("DELETE", "/api/auth/factors/{factor_id}"): 404,
    ("POST", "/api/admin/users"): 400,
    ("POST", "/api/admin/users/invitations"): 400,
    ("DELETE", "/api/admin/users/invitations/{invitation_id}"): 404,
    ("POST", "/api/admin/users/bulk"): 400,
    ("GET", "/api/admin/users/{user_id}"): 404,
    ("PATCH", "/api/admin/users/{user_id}"): 400,
    ("DELETE", "/api/admin/users/{user_id}"): 404,
    ("POST", "/api/admin/users/{user_id}/roles"): 400,
    ("DELETE", "/api/admin/users/{user_id}/roles/{role}"): 404,
    ("POST", "/api/admin/users/{user_id}/disable"): 404,
    ("POST", "/api/admin/users/{user_id}/enable"): 404,
    ("POST", "/api/admin/users/{user_id}/sign-out"): 404,
    ("POST", "/api/admin/users/{user_id}/reset-factors"): 404,
    ("POST", "/api/admin/users/{user_id}/password-letter"): 404,
    ("POST", "/api/admin/users/{user_id}/require-new-password"): 404,
    ("POST", "/api/admin/roles"): 400,
    ("GET", "/api/admin/roles/{name}"): 404,
    ("PATCH", "/api/admin/roles/{name}"): 400,
    ("DELETE", "/api/admin/roles/{name}"): 404,
    ("POST", "/api/admin/roles/{name}/permissions"): 400,
    ("DELETE", "/api/admin/roles/{name}/permissions/{permission}"): 404,
    ("GET", "/api/admin/roles/{name}/preview"): 404,
    ("GET", "/api/admin/letters/{letter_id}"): 404,
    ("POST", "/api/admin/letters/{letter_id}/retry"): 404,
    ("POST", "/api/admin/keys/{key_id}/retire"): 404,
    ("DELETE", "/api/admin/sessions/{session_id}"): 404,
    ("POST", "/api/admin/events/blank"): 400,
}
"""What a route answers to whoever may call it, where that is not 200.

The trial is the body `{}` for POST and PATCH, and an unknown id in the path: with them these routes
find something missing. Metrics are not there until a token for them is configured.
"""

QUERY_OF_THE_TRIAL = {"/api/admin/events/live": "?seconds=0"}
"""What is added to a path in the trial: the answer of this one would stay open."""

AccessTable = dict[tuple[str, str], dict[str, int]]
"""For each method and path: the status that each kind of caller gets."""

_LEFT = ":--"
_CENTRED = ":-:"


def declared_routes() -> list[Declared]:
    """Return every route of every JSON door, in the order of the doors."""
    return [route for door in DOORS if isinstance(door, Door) for route in door.routes]


def path_of_trial(path: str) -> str:
    """Return a path of a route with ids that nothing has; other parameters stay as they are."""
    asked = re.sub(r"{(\w+)}", lambda name: UNKNOWN.get(name[1], name[0]), path)
    return asked + QUERY_OF_THE_TRIAL.get(path, "")


def expected_status(route: Declared, kind: str) -> int:
    """Return what a kind of caller gets, as the route's rule says."""
    rule = route.rule
    permitted = ANSWER_TO_THE_TRIAL.get((route.method, route.path), 200)
    if rule.public:
        return permitted
    if kind == NOBODY:
        return status_of(rule.missing)
    if kind not in ROLES:
        return status_of(InvalidToken)
    rights = Rights.of(ROLES[kind], SEEDED_ROLES)
    may = rule.permits(rights.roles, rights.permissions)
    return permitted if may else status_of(rule.lacking)


def render_access_table() -> str:
    """Return the table in Markdown, as `docs/api.md` must contain it."""
    rows = [
        (
            f"`{route.method} {route.path}`",
            route.rule.name,
            *(str(expected_status(route, kind)) for kind in KINDS),
        )
        for route in declared_routes()
    ]
    head = ("Route", "Rule", *KINDS)
    marks = (_LEFT, _LEFT, *(_CENTRED for _ in KINDS))
    return "\n".join(_row(cells) for cells in (head, marks, *rows))


def parse_access_table(markdown: str) -> AccessTable:
    """Return the statuses of the one access table that a page contains."""
    lines = iter(markdown.splitlines())
    kinds = next(_cells(line)[2:] for line in lines if line.startswith("| Route | Rule |"))
    next(lines)
    table: AccessTable = {}
    for line in lines:
        if not line.startswith("|"):
            break
        name, _, *statuses = _cells(line)
        method, path = name.strip("`").split()
        table[method, path] = dict(zip(kinds, map(int, statuses), strict=True))
    return table


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip().strip("|").split("|")]
