"""How far rights reach: on whom somebody may act, and as whom they may see an application."""

from gatelodge.accounts.permissions import USERS_IMPERSONATE
from gatelodge.accounts.roles import ADMIN
from gatelodge.accounts.store import Rights


def reaches(own: Rights, others: Rights) -> bool:
    """Return whether somebody with the rights `own` may act on a user with the rights `others`."""
    if ADMIN in own.roles:
        return True
    return ADMIN not in others.roles and others.permissions <= own.permissions


def may_impersonate(own: Rights, others: Rights) -> bool:
    """Return whether somebody may see an application as a user with the rights `others` does.

    An application may ask for the name of a role, whatever the role permits. So whoever does not
    hold `admin` must hold every role of the user, too. Nor may they see it as somebody who may
    impersonate others.
    """
    if USERS_IMPERSONATE not in own.permissions or not reaches(own, others):
        return False
    if ADMIN in own.roles:
        return True
    return USERS_IMPERSONATE not in others.permissions and set(others.roles) <= set(own.roles)
