"""What is refused of letters."""

from gatelodge.errors import NotFound, NotPermitted, Unavailable
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


class LetterNotTaken(Unavailable):
    """A letter that was sent at once was not taken, or nobody said whether it was."""

    code = "letter_not_taken"
    default = "The letter was not taken."
