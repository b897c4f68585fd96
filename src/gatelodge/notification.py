"""What an application is told when something has happened."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID, uuid5

from gatelodge.user import SUBJECT_NAMESPACE


@dataclass(frozen=True, slots=True)
class Notification:
    """Something that has happened, as the code of an application is told of it.

    Attributes:
        id: the id of the event. Whoever is told a second time sees the same id.
        name: what happened, such as `user.deleted`; docs/events.md has all names.
        at: when it happened.
        subject: the id of the user or thing that it was done to, or None.
        actor: who did it: the id of a user, `command`, `server`, `application`, or None.
        detail: further facts, by name.
    """

    id: str
    name: str
    at: datetime
    subject: str | None
    actor: str | None
    detail: Mapping[str, str] = field(default_factory=dict)

    @property
    def uuid(self) -> UUID | None:
        """The user as a UUID; the same as `User.uuid`. None if the subject is no user."""
        if self.subject is None or not self.subject.startswith(_OF_A_USER):
            return None
        return uuid5(SUBJECT_NAMESPACE, self.subject)


_OF_A_USER = "usr_"
