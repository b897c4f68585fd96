"""Letters for tests."""

import re
from typing import Any

from gatelodge.letters.mail import Mail
from tests.support.clock import NOON


def a_mail(**values: Any) -> Mail:
    """Return a letter to Ann; a test names what matters to it."""
    usual = {
        "message_id": "ltr_0mail@id.example.com",
        "to": "ann@example.com",
        "subject": "Your code",
        "text": "Your code is ABCD-EF23.\n\nhttps://id.example.com/verify#token=s3cr3t-of-ann-1\n",
        "html": "<p>Your code is <b>ABCD-EF23</b>.</p>",
        "sender": "Example <no-reply@id.example.com>",
        "language": "en-GB",
        "at": NOON,
    }
    return Mail(**usual | values)


def code_in(text: str) -> str:
    """Return the code in the text of a letter. The token of a link may contain something like it.

    Raises:
        ValueError: there is none, or there are several.
    """
    (code,) = re.findall(r"(?<!\S)[A-Z2-9]{4}-[A-Z2-9]{4}\b", text)
    return code
