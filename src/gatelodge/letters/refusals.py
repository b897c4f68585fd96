"""What is refused of letters."""

from gatelodge.errors import Conflict, NotFound, NotPermitted, Unavailable
from gatelodge.marks import N_


class NoMail(NotPermitted):
    """The server sends no letters, because no mail server is set."""

    code = "mail_off"
    default = "This server sends no e-mail. Ask whoever runs it."
    sentence = N_("This server sends no e-mail. Ask whoever runs it.")


class NoSuchLetter(NotFound):
    """There is no letter of this id, or it can no longer be sent."""

    code = "letter_not_found"
    default = "There is no letter of this id that waits or was given up."
    sentence = N_("There is no such letter that waits or was given up.")


class LetterBeingSent(Conflict):
    """A letter cannot be sent anew while it is being sent."""

    code = "letter_being_sent"
    default = N_(
        "This letter is being sent right now. If that fails, the server tries again by itself. "
        "Look at the letter again in a few minutes."
    )
    sentence = default


class LetterNotTaken(Unavailable):
    """A letter that was sent at once was not taken, or nobody said whether it was."""

    code = "letter_not_taken"
    default = "The letter was not taken."
