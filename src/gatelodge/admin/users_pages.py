"""The pages of all users: finding them, acting on several at once, creating one."""

from collections.abc import Mapping
from dataclasses import dataclass

from starlette.responses import Response

from gatelodge.accounts.roles import USER, RoleService
from gatelodge.accounts.search import Count, UserQuery
from gatelodge.accounts.service import NewUser
from gatelodge.accounts.store import Role
from gatelodge.admin.authority import Administrator
from gatelodge.admin.doors import administrator, page, proved
from gatelodge.admin.refusals import TooManyUsers
from gatelodge.admin.rules import READ_USERS, WRITE_MANY, WRITE_USERS
from gatelodge.admin.user_filters import UserFilters
from gatelodge.admin.users import (
    BULK_ACTS,
    BULK_LIMIT,
    BulkAct,
    Done,
    SeenUsers,
    UserAdministration,
)
from gatelodge.errors import InvalidRequest
from gatelodge.marks import N_
from gatelodge.pages.door import PageDoor, Visit
from gatelodge.pages.fields import EMAIL, NEXT, USERNAME, faults_of_new_names
from gatelodge.pages.forms import Field
from gatelodge.pages.wording import sentence_of

door = PageDoor()

USERS = "/admin/users"
SELECTED = f"{USERS}/selected"
NEW = f"{USERS}/new"

ON_A_PAGE = 20
"""How many users a page shows: with all that it loads, it stays below 60 KB."""

_ACT = Field("act", missing=N_("Choose what to do."))
_CHOSEN = Field("user", missing=N_("Choose at least one user."), many=True)
_ROLE = Field("role")
_REASON = Field("reason", trimmed=True)

NAME = Field("name", trimmed=True)
"""What to call somebody."""

_PASSWORD = Field("password", secret=True)
ROLES = Field("roles", many=True)
"""The ticked roles of somebody new."""

_MAX_DIGITS = 10


@dataclass(frozen=True, slots=True)
class Words:
    """What pages say of an act on several users.

    Attributes:
        choice: its name in the list of acts.
        question: the heading of the page that asks; `%(number)s` is how many users.
        one: the same for one user; `%(name)s` is the username.
        means: what it does.
        button: the text of the button.
        done: what the report says of a user who was changed.
        was: what it says of one who was like that before.
        grave: whether it takes something away.
    """

    choice: str
    question: str
    one: str
    means: str
    button: str
    done: str
    was: str
    grave: bool = True


WORDS: Mapping[BulkAct, Words] = {
    "sign_out": Words(
        N_("End sessions"),
        N_("End all sessions of %(number)s users?"),
        N_("End all sessions of %(name)s?"),
        N_("They are signed out on every device with the next request, and may sign in again."),
        N_("End their sessions"),
        N_("Signed out"),
        N_("Nothing to do"),
    ),
    "grant": Words(
        N_("Grant a role"),
        N_("Grant %(number)s users a role?"),
        N_("Grant %(name)s a role?"),
        N_("What the role permits is theirs with the next request."),
        N_("Grant the role"),
        N_("Granted"),
        N_("Had it before"),
        grave=False,
    ),
    "withdraw": Words(
        N_("Take a role"),
        N_("Take a role from %(number)s users?"),
        N_("Take a role from %(name)s?"),
        N_("What the role permits is gone with the next request."),
        N_("Take the role"),
        N_("Taken"),
        N_("Did not have it"),
    ),
    "disable": Words(
        N_("Disable"),
        N_("Disable %(number)s users?"),
        N_("Disable %(name)s?"),
        N_("They are signed out with the next request, and cannot sign in until you enable them."),
        N_("Disable them"),
        N_("Disabled"),
        N_("Was disabled before"),
    ),
    "enable": Words(
        N_("Enable"),
        N_("Enable %(number)s users?"),
        N_("Enable %(name)s?"),
        N_("They can sign in again."),
        N_("Enable them"),
        N_("Enabled"),
        N_("Was enabled before"),
        grave=False,
    ),
    "require_new_password": Words(
        N_("Require a new password"),
        N_("Require new passwords of %(number)s users?"),
        N_("Require a new password of %(name)s?"),
        N_(
            "They are signed out. The password of now lets nobody in any more: at the next sign-in "
            "they set a new one."
        ),
        N_("Require a new password"),
        N_("Must set a new one"),
        N_("Had to before"),
    ),
    "reset_factors": Words(
        N_("Reset second factors"),
        N_("Reset the second factors of %(number)s users?"),
        N_("Reset the second factors of %(name)s?"),
        N_(
            "Their apps, passkeys, recovery codes and remembered browsers are removed, and they "
            "are signed out. A password alone then signs in."
        ),
        N_("Reset their factors"),
        N_("Reset"),
        N_("Had none"),
    ),
    "delete": Words(
        N_("Delete"),
        N_("Delete %(number)s users?"),
        N_("Delete %(name)s?"),
        N_("The accounts and their sessions are removed at once. Nobody can bring them back."),
        N_("Delete for good"),
        N_("Deleted"),
        N_("Was gone already"),
    ),
}


@dataclass(frozen=True, slots=True)
class Reported:
    """What became of one of several users, as the report says it.

    Attributes:
        user_id: the id.
        name: the username, or the id of a user who was gone before.
        outcome: what became of them, in the reader's language.
        refused: whether nothing was done, because it may not be.
        exists: whether there is a page of the user now.
    """

    user_id: str
    name: str
    outcome: str
    refused: bool
    exists: bool


@door.get(USERS, rule=READ_USERS)
async def list_users(visit: Visit) -> Response:
    """List the users that match, 20 at a time."""
    query = visit.request.query_params
    filters, by = UserFilters.read(query), administrator(visit)
    service = visit.ask(UserAdministration)
    after = query.get("after") or None
    found = await service.search(filters.query, by, after=after, limit=ON_A_PAGE)
    count = await service.count(filters.query)
    counted = _counted(visit, count, filters.query)
    start = _start_of(query.get("start", "")) if after else 1
    is_alone = count == Count(1) and not filters.values
    acts = [] if is_alone or not any(each.reached for each in found.users) else _acts_of(by)
    return page(
        visit,
        "users.html",
        filters=filters,
        users=found.users,
        after=found.after,
        start=start,
        count=_in_words(visit, count, counted),
        told=_told(visit, found, start, counted),
        roles=[("", visit.language.text(N_("any"))), *await role_choices(visit)],
        acts=[(act, WORDS[act].choice) for act in acts],
        here=_address(visit),
        is_alone=is_alone,
    )


@door.get(SELECTED, rule=WRITE_MANY, repeatable=("user",), answers=303)
async def show_selected(visit: Visit) -> Response:
    """Ask whether to do something to several users, and name them."""
    by = administrator(visit)
    chosen = await visit.ask(UserAdministration).list_by_ids(_ids(visit), by)
    if not chosen:
        return visit.go(_list_before(visit), done="nobody-chosen")
    act = _act_of(visit)
    can_grant = act in {"grant", "withdraw"}
    return page(
        visit,
        "selected.html",
        act=act,
        words=WORDS[act],
        chosen=chosen,
        roles=await role_choices(visit, by if act == "grant" else None) if can_grant else [],
        back=visit.pages.site.path + _list_before(visit),
    )


@door.post(
    SELECTED,
    rule=WRITE_MANY,
    fields=(_ACT, _CHOSEN, _ROLE, _REASON, NEXT),
    again=show_selected,
    answers=303,
)
async def act_on_selected(visit: Visit) -> Response:
    """Do it, and report what became of each user."""
    act, form, ids = _act_of(visit), visit.form, _ids(visit)
    by = await proved(visit) if BULK_ACTS[act].proved else administrator(visit)
    service = visit.ask(UserAdministration)
    chosen = await service.list_by_ids(ids, by)
    names = {str(seen.user.id): seen.user.username for seen in chosen}
    report = await service.act_on_many(act, ids, by, role=form["role"], reason=form["reason"])
    return page(
        visit,
        "report.html",
        words=WORDS[act],
        report=[_reported(visit, act, each, names) for each in report],
        changed=sum(each.changed for each in report),
        back=visit.pages.site.path + _list_before(visit),
    )


@door.get(NEW, rule=WRITE_USERS)
async def show_new(visit: Visit) -> Response:
    """Show the form for a new user. Whoever signed in a while ago is asked for a proof first."""
    by = await proved(visit)
    return page(
        visit, "user-new.html", roles=await grantable(visit, by), chosen=chosen_roles(visit)
    )


@door.post(
    NEW,
    rule=WRITE_USERS,
    fields=(NAME, USERNAME, EMAIL, _PASSWORD, ROLES),
    again=show_new,
    faults=faults_of_new_names,
)
async def create(visit: Visit) -> Response:
    """Create a user: with a password, or with a letter in which they set one."""
    by, form = await proved(visit), visit.form
    wanted = NewUser(
        form["username"],
        form["email"],
        form["password"],
        form.all_of("roles"),
        name=form["name"],
    )
    by_letter = not form["password"] and visit.pages.site.mail
    made = await visit.ask(UserAdministration).create(wanted, by, invite=by_letter)
    return visit.go(f"{USERS}/{made.id}", done="user-invited" if by_letter else "user-created")


async def grantable(visit: Visit, by: Administrator) -> list[Role]:
    """Return the roles that the administrator may give."""
    return [each for each in await visit.ask(RoleService).list_roles() if by.may_grant(each)]


async def role_choices(visit: Visit, by: Administrator | None = None) -> list[tuple[str, str]]:
    """Return the roles as a form offers them: those that somebody may give, or all."""
    roles = await visit.ask(RoleService).list_roles()
    return [
        (each.name, visit.language.text(each.name))
        for each in roles
        if by is None or by.may_grant(each)
    ]


def chosen_roles(visit: Visit) -> list[str]:
    """Return the roles that are ticked in a form for somebody new; at first, `user`."""
    return visit.form.all_of("roles") if visit.form.values else [USER]


def _acts_of(by: Administrator) -> list[BulkAct]:
    return [act for act in WORDS if BULK_ACTS[act].permission in by.rights.permissions]


def _act_of(visit: Visit) -> BulkAct:
    """Return what the form or the address asks for.

    Raises:
        InvalidRequest: there is no such act.
    """
    asked = visit.form.values.get("act") or visit.request.query_params.get("act", "")
    for act in WORDS:
        if act == asked:
            return act
    raise InvalidRequest(field="act")


def _ids(visit: Visit) -> list[str]:
    """Return the ids of the chosen users, each once.

    Raises:
        TooManyUsers: there are more than `BULK_LIMIT`.
    """
    asked = visit.form.all_of("user") or visit.request.query_params.getlist("user")
    ids = list(dict.fromkeys(asked))
    if len(ids) > BULK_LIMIT:
        raise TooManyUsers
    return ids


def _reported(visit: Visit, act: BulkAct, done: Done, names: Mapping[str, str]) -> Reported:
    words = WORDS[act]
    told = visit.language.text(words.done if done.changed else words.was)
    return Reported(
        user_id=done.user_id,
        name=names.get(done.user_id, done.user_id),
        outcome=sentence_of(done.refusal, visit.language) if done.refusal else told,
        refused=done.refusal is not None,
        exists=done.user_id in names and not (act == "delete" and done.refusal is None),
    )


def _start_of(text: str) -> int:
    """Return the number of the first user of a page, as the page before it has told."""
    return int(text) if text.isascii() and text.isdecimal() and len(text) < _MAX_DIGITS else 1


def _counted(visit: Visit, count: Count, query: UserQuery) -> str:
    """Return how many users match: all of them are estimated, others counted up to a limit."""
    number = visit.language.number(count.number)
    words = N_("about %(number)s") if query.is_for_all else N_("%(number)s or more")
    return number if count.exact else visit.language.text(words, number=number)


def _in_words(visit: Visit, count: Count, counted: str) -> str:
    """Return the same as a phrase."""
    if count == Count(1):
        return visit.language.text(N_("1 user"))
    return visit.language.text(N_("%(number)s users"), number=counted)


def _told(visit: Visit, found: SeenUsers, start: int, counted: str) -> str:
    """Return what the foot of the list says."""
    language, last = visit.language, start + len(found.users) - 1
    if len(found.users) < ON_A_PAGE and found.after is not None:
        return language.text(N_("The search goes on: there are many users to look at."))
    return language.text(
        N_("%(first)s–%(last)s of %(all)s"),
        first=language.number(start),
        last=language.number(last),
        all=counted,
    )


def _list_before(visit: Visit) -> str:
    """Return the path and query of the list that the reader comes from."""
    before = visit.next.removeprefix(visit.pages.site.path)
    return before if before.partition("?")[0] == USERS else USERS


def _address(visit: Visit) -> str:
    """Return the address of this page, to come back to."""
    query = visit.request.url.query
    return f"{visit.pages.site.path}{USERS}" + (f"?{query}" if query else "")
