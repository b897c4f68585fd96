"""The pages of roles: the table of what they permit, a preview of changes, one role."""

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import quote, urlencode

from starlette.responses import Response

from gatelodge.accounts.permissions import ROLES_WRITE
from gatelodge.accounts.refusals import InvalidPermission, NoSuchRole
from gatelodge.accounts.roles import BUILT_IN, check_permission
from gatelodge.admin.authority import Administrator
from gatelodge.admin.doors import administrator, page, proved
from gatelodge.admin.role_matrix import CELLS, COLUMNS, Matrix, Sent, read, written
from gatelodge.admin.roles import (
    Affected,
    Bound,
    RoleAdministration,
    RoleChange,
    RoleSeen,
)
from gatelodge.admin.rules import READ_ROLES, WRITE_ROLES
from gatelodge.errors import Refusal
from gatelodge.marks import N_
from gatelodge.pages.door import PageDoor, Visit
from gatelodge.pages.forms import Field, Form
from gatelodge.pages.wording import sentence_of

door = PageDoor()

ROLES = "/admin/roles"
NEW = f"{ROLES}/new"
CHANGES = f"{ROLES}/changes"
ROLE = f"{ROLES}/role"
DELETE = f"{ROLES}/delete"

_SHOWN = (Field("roles"), Field("permissions"), Field("was"), Field("on", many=True))
"""The fields of the table; see `Sent`."""

_CHANGES = (Field("give"), Field("take"))
_ROLE = Field("role", missing=N_("Choose a role."))
_NAME = Field("name", missing=N_("Enter a name."), trimmed=True)
_DESCRIPTION = Field("description", trimmed=True)
_PERMISSIONS = Field("permissions", many=True)
_FURTHER = Field("further", trimmed=True)
_TAKE = Field("take")

_MOST_KNOWN = 200
"""How many permissions the page of a new role offers; any other can be typed."""

_EFFECTS: Mapping[tuple[bool, Bound], str] = {
    (True, "exactly"): N_("Users who gain it: %(number)s"),
    (True, "at_least"): N_("Users who gain it: at least %(number)s"),
    (True, "at_most"): N_("Users who gain it: at most %(number)s"),
    (False, "exactly"): N_("Users who lose it: %(number)s"),
    (False, "at_least"): N_("Users who lose it: at least %(number)s"),
    (False, "at_most"): N_("Users who lose it: at most %(number)s"),
}


@dataclass(frozen=True, slots=True)
class Effect:
    """What a change does, as the preview says it.

    Attributes:
        affected: the change, and some of those whom it affects.
        told: how many gain or lose something.
        has_others: whether more are affected than are named.
    """

    affected: Affected
    told: str
    has_others: bool


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a change.

    Attributes:
        change: the change.
        refused: why it was not made, translated; empty: it was made.
    """

    change: RoleChange
    refused: str


@door.get(ROLES, rule=READ_ROLES)
async def show_roles(visit: Visit) -> Response:
    """Show what each role permits, as a table to be changed by whoever may write roles."""
    by, query = administrator(visit), visit.request.query_params
    sent = _sent(visit.form) if visit.form.values else None
    roles, more_roles = await _columns(visit, by, sent)
    rows = CELLS // max(len(roles), 1)
    text = query.get("q", "").strip()
    service = visit.ask(RoleAdministration)
    if sent is None:
        permissions = await service.list_permissions(
            by, after=query.get("permission"), limit=rows + 1, containing=text
        )
    else:
        known = await service.list_permissions(by, limit=CELLS * CELLS)
        permissions = [each for each in known if each.name in sent.permissions]
    shown = permissions[:rows]
    may_write = ROLES_WRITE in by.rights.permissions
    chosen = sent.chosen if sent is not None else None
    return page(
        visit,
        "roles.html",
        matrix=Matrix.of(roles, shown, by, chosen),
        may_write=may_write,
        text=text,
        query={name: query.get(name, "") for name in ("q", "role", "permission")},
        next_role=roles[-1].role.name if more_roles else "",
        next_permission=shown[-1].name if len(permissions) > rows else "",
        is_first="role" not in query and "permission" not in query and not text,
        only_built_in=all(each.built_in for each in roles) and "role" not in query,
    )


@door.post(ROLES, rule=WRITE_ROLES, fields=_SHOWN, again=show_roles)
async def look_at_changes(visit: Visit) -> Response:
    """Lead to the page that says whom the changes in the table would affect."""
    changes = _sent(visit.form).changes()
    if not changes:
        return visit.go(ROLES, done="roles-same")
    return visit.go(_address_of(changes))


@door.get(CHANGES, rule=WRITE_ROLES, answers=303)
async def show_changes(visit: Visit) -> Response:
    """Say for each change who gains or loses something, and ask whether to make them.

    Whoever signed in a while ago is asked for a proof first.
    """
    by, changes = await proved(visit), _changes_asked(visit)
    if not changes:
        return visit.go(ROLES)
    affected = await visit.ask(RoleAdministration).preview(changes, by)
    roles = dict.fromkeys(each.role for each in changes)
    return page(
        visit,
        "role-changes.html",
        effects={
            name: [_effect(visit, each) for each in affected if each.change.role == name]
            for name in roles
        },
        number=sum(not each.so_already for each in affected),
        fields_sent=written(changes),
        me=visit.caller.subject,
    )


@door.post(CHANGES, rule=WRITE_ROLES, fields=_CHANGES, again=show_changes)
async def make_changes(visit: Visit) -> Response:
    """Make the changes one after the other, and say if one of them was refused."""
    by, changes = await proved(visit), _changes_asked(visit)
    if not changes:
        return visit.go(ROLES)
    outcomes = [await _outcome(visit, each, by) for each in changes]
    if not any(each.refused for each in outcomes):
        return visit.go(ROLES, done="roles-changed")
    return page(
        visit,
        "role-report.html",
        outcomes=outcomes,
        made=sum(not each.refused for each in outcomes),
    )


@door.get(NEW, rule=WRITE_ROLES)
async def show_new(visit: Visit) -> Response:
    """Show the form for a new role."""
    by = await proved(visit)
    known = await visit.ask(RoleAdministration).list_permissions(by, limit=_MOST_KNOWN)
    return page(
        visit,
        "role-new.html",
        permissions=[each for each in known if each.permittable],
        chosen=visit.form.all_of("permissions"),
        holds_admin=by.holds_admin,
    )


@door.post(
    NEW,
    rule=WRITE_ROLES,
    fields=(_NAME, _DESCRIPTION, _PERMISSIONS, _FURTHER),
    again=show_new,
)
async def make(visit: Visit) -> Response:
    """Make a role."""
    by, form = await proved(visit), visit.form
    permissions = form.all_of("permissions")
    if form["further"]:
        permissions.append(_further(form))
    made = await visit.ask(RoleAdministration).create(
        form["name"], form["description"], permissions, by
    )
    return visit.go(f"{ROLE}?role={made.role.name}", done="role-made")


@door.get(ROLE, rule=READ_ROLES, answers=404)
async def show_role(visit: Visit) -> Response:
    """Show one role: who holds it, and what it permits."""
    by = administrator(visit)
    seen = await visit.ask(RoleAdministration).get(_name(visit), by)
    if not visit.form.values:
        visit.form = Form({"role": seen.role.name, "description": seen.role.description})
    known = await visit.ask(RoleAdministration).list_permissions(by, limit=CELLS * CELLS)
    return page(
        visit,
        "role.html",
        seen=seen,
        permissions=[each for each in known if seen.role.name in each.roles],
        may_change=seen.editable and ROLES_WRITE in by.rights.permissions,
    )


@door.post(
    ROLE, rule=WRITE_ROLES, fields=(_ROLE, _DESCRIPTION, _FURTHER), again=show_role, answers=404
)
async def save_role(visit: Visit) -> Response:
    """Save the description; lead to the preview if a further permission was typed."""
    by, form, service = await proved(visit), visit.form, visit.ask(RoleAdministration)
    changes = [RoleChange(form["role"], _further(form), permits=True)] if form["further"] else []
    seen = await service.get(form["role"], by)
    if form["description"] != seen.role.description:
        await service.describe(form["role"], form["description"], by)
    if changes:
        return visit.go(_address_of(changes))
    return visit.go(f"{ROLE}?role={seen.role.name}", done="role-described")


@door.get(DELETE, rule=WRITE_ROLES, answers=404)
async def show_delete(visit: Visit) -> Response:
    """Ask whether to delete a role, and say from whom it is taken."""
    by, name, service = await proved(visit), _name(visit), visit.ask(RoleAdministration)
    seen: RoleSeen | None = None
    if not (by.holds_admin and await service.is_left(name)):
        seen = await service.get(name, by)
        by.require_editable(seen.role)
    return page(
        visit,
        "role-delete.html",
        name=name,
        seen=seen,
        built_in=name in BUILT_IN,
        holds_admin=by.holds_admin,
    )


@door.post(DELETE, rule=WRITE_ROLES, fields=(_ROLE, _TAKE), again=show_delete, answers=404)
async def delete(visit: Visit) -> Response:
    """Delete a role. One that many hold is taken from them in several steps."""
    by, service, name = await proved(visit), visit.ask(RoleAdministration), visit.form["role"]
    if not visit.form["take"]:
        await service.delete(name, by)
        return visit.go(ROLES, done="role-deleted")
    try:
        deleted = await service.delete_and_take(name, by)
    except NoSuchRole:  # the last step was taken by somebody else
        return visit.go(ROLES, done="role-deleted")
    if deleted.complete:
        return visit.go(ROLES, done="role-deleted")
    return visit.go(f"{DELETE}?role={quote(name)}")


async def _columns(
    visit: Visit, by: Administrator, sent: Sent | None
) -> tuple[list[RoleSeen], bool]:
    """Return the roles of a page, and whether there are more."""
    service = visit.ask(RoleAdministration)
    if sent is not None:
        names = [each for each in sent.roles if each]
        every = await service.list_roles(by, limit=CELLS)
        return [each for each in every if each.role.name in names][:COLUMNS], False
    after = visit.request.query_params.get("role")
    roles = await service.list_roles(by, after=after, limit=COLUMNS + 1)
    return roles[:COLUMNS], len(roles) > COLUMNS


def _sent(form: Form) -> Sent:
    return Sent(
        form.all_of("roles"),
        form.all_of("permissions"),
        form["was"],
        frozenset(form.all_of("on")),
    )


def _address_of(changes: list[RoleChange]) -> str:
    """Return the address of the preview.

    Raises:
        TooManyRoleChanges: as for `written`.
    """
    return f"{CHANGES}?{urlencode(written(changes), safe=':/')}"


def _changes_asked(visit: Visit) -> list[RoleChange]:
    """Return the changes in the form, or else in the address.

    Raises:
        TooManyRoleChanges, InvalidRequest: as for `read`.
    """
    asked = visit.form.values or visit.request.query_params
    return read(asked.get("give", ""), asked.get("take", ""))


async def _outcome(visit: Visit, change: RoleChange, by: Administrator) -> Outcome:
    try:
        await visit.ask(RoleAdministration).change(change, by)
    except Refusal as refusal:
        return Outcome(change, sentence_of(refusal, visit.language))
    return Outcome(change, "")


def _effect(visit: Visit, affected: Affected) -> Effect:
    number = visit.language.number(affected.number)
    told = _EFFECTS[affected.change.permits, affected.bound]
    has_others = bool(affected.users) and (
        affected.number > len(affected.users) or affected.bound == "at_least"
    )
    return Effect(affected, visit.language.plain(told, number=number), has_others)


def _further(form: Form) -> str:
    """Return the permission that was typed.

    Raises:
        InvalidPermission: it is none.
    """
    try:
        check_permission(form["further"])
    except InvalidPermission:
        raise InvalidPermission(field="further") from None
    return form["further"]


def _name(visit: Visit) -> str:
    return visit.form.values.get("role") or visit.request.query_params.get("role", "")
