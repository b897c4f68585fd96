"""How far an administrator reaches: on whom they may act, and what they may give."""

from dataclasses import dataclass

from gatelodge.accounts.permissions import USERS_IMPERSONATE
from gatelodge.accounts.reach import reaches
from gatelodge.accounts.refusals import RoleNotGrantable
from gatelodge.accounts.roles import ADMIN
from gatelodge.accounts.store import Rights, Role
from gatelodge.admin.refusals import OutOfReach, PermissionNotGrantable, RoleNotEditable
from gatelodge.audit import Actor
from gatelodge.gate.principal import Principal
from gatelodge.marks import N_

_CANNOT_GIVE = N_(
    "You can give only roles that permit nothing beyond what you may do. A role that permits "
    "nothing is given by administrators and its holders, users:impersonate by a command."
)
_CANNOT_TAKE = N_("You can take only roles that you could also give.")


@dataclass(frozen=True, slots=True)
class Administrator:
    """Somebody who acts on others, with what they may do at this moment.

    Holders of the role `admin` reach everybody, and may give every permission but
    `users:impersonate`, which only a command gives. Everybody else acts and gives within the
    permissions that they hold themselves. So no sequence of acts gives anybody a permission that
    nobody who acted had.

    A rule of an application may ask for the name of a role. So somebody who does not hold `admin`
    can give or change a role that permits nothing only if they hold it: nothing else says what it
    is worth.

    Attributes:
        actor: who acts, and where the request comes from; for the audit log.
        rights: what they may do.
    """

    actor: Actor
    rights: Rights

    @classmethod
    def of(cls, caller: Principal, actor: Actor) -> "Administrator":
        """Return the administrator who makes a request.

        Args:
            caller: the principal, with the rights of now.
            actor: the same, for the audit log.
        """
        return cls(actor, Rights(caller.roles, caller.permissions))

    @property
    def holds_admin(self) -> bool:
        """Whether they hold the role `admin`."""
        return ADMIN in self.rights.roles

    def reaches(self, others: Rights) -> bool:
        """Return whether they may act on somebody with these rights."""
        return reaches(self.rights, others)

    def require_reach(self, others: Rights) -> None:
        """Refuse to act on somebody who may do more.

        Raises:
            OutOfReach: they do.
        """
        if not self.reaches(others):
            raise OutOfReach

    def may_grant(self, role: Role) -> bool:
        """Return whether they may give this role to somebody.

        They may give what they may edit, but never `users:impersonate`.
        """
        return USERS_IMPERSONATE not in role.permissions and self.may_edit(role)

    def require_grantable(self, role: Role) -> None:
        """Refuse a role that they may not give.

        Raises:
            RoleNotGrantable: it is one.
        """
        if not self.may_grant(role):
            raise RoleNotGrantable(_CANNOT_GIVE, field="roles")

    def may_take(self, role: Role) -> bool:
        """Return whether they may take this role from somebody whom they reach."""
        return self.holds_admin or self.may_grant(role)

    def require_takable(self, role: Role) -> None:
        """Refuse a role that they may not take from somebody.

        Raises:
            RoleNotGrantable: it is one.
        """
        if not self.may_take(role):
            raise RoleNotGrantable(_CANNOT_TAKE, field="roles")

    @property
    def edits_within(self) -> frozenset[str] | None:
        """All permissions that a role may have which they change; None: it may have any."""
        return None if self.holds_admin else self.rights.permissions

    def may_edit(self, role: Role) -> bool:
        """Return whether they may change or delete this role."""
        if self.holds_admin:
            return True
        if role.name == ADMIN:
            return False
        if not role.permissions:  # with one of theirs in it, they could give it
            return role.name in self.rights.roles
        return self.rights.permissions.issuperset(role.permissions)

    def require_editable(self, role: Role) -> None:
        """Refuse a role that they may not change.

        Raises:
            RoleNotEditable: it is one.
        """
        if not self.may_edit(role):
            raise RoleNotEditable

    def may_permit(self, permission: str) -> bool:
        """Return whether they may give this permission to a role, and take it."""
        if permission == USERS_IMPERSONATE:
            return False
        return self.holds_admin or permission in self.rights.permissions

    def require_permittable(self, permission: str) -> None:
        """Refuse a permission that they may not give.

        Raises:
            PermissionNotGrantable: it is one.
        """
        if not self.may_permit(permission):
            raise PermissionNotGrantable(field="permissions")
