"""What the console says of events, in sentences. Filters and programs know them by their names."""

from collections.abc import Mapping

from gatelodge.marks import N_
from gatelodge.me.activity import SENTENCES as TO_THEIR_USER

_OF_THE_HOUSE: Mapping[str, str] = {
    "database.backed_up": N_("The database was backed up"),
    "database.restored": N_("A backup was put in place of the database"),
    "events.blanked": N_("Events of a deleted user were blanked"),
    "invitation.sent": N_("An invitation was sent"),
    "invitation.withdrawn": N_("An invitation was made void"),
    "letter.given_up": N_("A letter was given up"),
    "letter.retried": N_("A letter is to be sent as soon as possible"),
    "message.given_up": N_("A message to an application was given up"),
    "role.created": N_("A role was made"),
    "role.deleted": N_("A role was deleted"),
    "role.described": N_("A role has another description"),
    "role.forbidden": N_("A role lost a permission"),
    "role.permitted": N_("A role got a permission"),
    "role.taken_from_all": N_("A deleted role was taken from everybody"),
    "signing_key.added": N_("A signing key was added"),
    "signing_key.retired": N_("A signing key got an end"),
    "subscription.removed": N_("A function of an application is not told of events any more"),
    "user.deleted": N_("The account was deleted"),
    "webhook.added": N_("A webhook was added"),
    "webhook.removed": N_("A webhook was removed"),
    "webhook.rotated": N_("A webhook got a new secret"),
}
"""Of events that no user finds in their own account."""

_TO_OTHERS: Mapping[str, str] = {
    "impersonation.began": N_("An administrator began to see the application as the user does"),
    "impersonation.ended": N_("An administrator stopped seeing the application as the user does"),
    "invitation.accepted": N_("An invitation was accepted"),
    "user.signed_up": N_("The user signed up"),
}
"""In place of sentences that speak to the user."""

SENTENCES: Mapping[str, str] = {**TO_THEIR_USER, **_OF_THE_HOUSE, **_TO_OTHERS}
"""The sentence about each event that is kept, by its name."""
