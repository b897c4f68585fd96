"""How far an administrator reaches."""

import pytest

from gatelodge.accounts.permissions import ADMINISTERS, USERS_IMPERSONATE
from gatelodge.accounts.refusals import RoleNotGrantable
from gatelodge.accounts.roles import ADMIN
from gatelodge.accounts.store import Rights, Role
from gatelodge.admin.authority import Administrator
from gatelodge.admin.refusals import OutOfReach, PermissionNotGrantable, RoleNotEditable
from gatelodge.audit import Actor

ANN = Administrator(Actor("usr_ann"), Rights((ADMIN,), frozenset(ADMINISTERS)))
HELPER = Administrator(
    Actor("usr_helper"), Rights(("helper", "guide"), frozenset({"users:read", "users:write"}))
)
READER = Role("reader", "", ("users:read",))
AUDITOR = Role("auditor", "", ("users:read", "events:read"))
IMPERSONATOR = Role("impersonator", "", (USERS_IMPERSONATE,))


@pytest.mark.parametrize(
    ("others", "reached"),
    [
        (Rights(), True),
        (Rights(("reader",), frozenset(READER.permissions)), True),
        (Rights(("auditor",), frozenset(AUDITOR.permissions)), False),
        (Rights((ADMIN,), frozenset()), False),
    ],
)
def test_a_helper_reaches_only_those_who_may_do_no_more(others: Rights, reached: bool) -> None:
    """Whoever holds `admin` reaches everybody."""
    assert HELPER.reaches(others) is reached
    assert ANN.reaches(others)


def test_a_helper_gives_only_what_is_within_their_own_permissions() -> None:
    """A role that permits nothing is worth what an application says: only its holders give it."""
    assert HELPER.may_grant(READER)
    assert not HELPER.may_grant(AUDITOR)
    assert not HELPER.may_grant(Role(ADMIN, ""))
    assert HELPER.may_grant(Role("guide", ""))
    assert not HELPER.may_grant(Role("vip", ""))
    assert ANN.may_grant(Role("vip", ""))
    assert ANN.may_grant(Role(ADMIN, "", ADMINISTERS))


def test_nobody_gives_what_lets_one_see_as_another_user() -> None:
    """Not even somebody who has it: a command does."""
    holder = Administrator(Actor("usr_x"), Rights((ADMIN,), frozenset({USERS_IMPERSONATE})))

    for each in (ANN, HELPER, holder):
        assert not each.may_grant(IMPERSONATOR)
        assert not each.may_permit(USERS_IMPERSONATE)
    assert ANN.may_take(IMPERSONATOR)
    assert not HELPER.may_take(IMPERSONATOR)


def test_a_helper_edits_only_roles_within_their_own_permissions() -> None:
    """They could give a role that permits nothing, once it has one of theirs."""
    assert HELPER.may_edit(READER)
    assert not HELPER.may_edit(AUDITOR)
    assert not HELPER.may_edit(Role(ADMIN, ""))
    assert HELPER.may_edit(Role("guide", ""))
    assert not HELPER.may_edit(Role("vip", ""))
    assert HELPER.edits_within == {"users:read", "users:write"}
    assert ANN.may_edit(AUDITOR)
    assert ANN.may_edit(Role("vip", ""))
    assert ANN.edits_within is None
    assert HELPER.may_permit("users:read")
    assert not HELPER.may_permit("events:read")


def test_what_is_out_of_reach_is_refused() -> None:
    with pytest.raises(OutOfReach):
        HELPER.require_reach(Rights(("auditor",), frozenset(AUDITOR.permissions)))
    with pytest.raises(RoleNotGrantable, match="a command"):
        ANN.require_grantable(IMPERSONATOR)
    with pytest.raises(RoleNotGrantable, match="You can give only roles"):
        HELPER.require_grantable(AUDITOR)
    with pytest.raises(RoleNotGrantable, match="You can take only roles"):
        HELPER.require_takable(AUDITOR)
    with pytest.raises(RoleNotEditable):
        HELPER.require_editable(AUDITOR)
    with pytest.raises(PermissionNotGrantable):
        HELPER.require_permittable("events:read")
