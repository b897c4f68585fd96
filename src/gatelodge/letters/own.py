"""Letters of an application's own: its templates and values, sent by the same queue as ours."""

from collections.abc import Mapping

from gatelodge.errors import ConfigurationError
from gatelodge.letters.service import LetterService

_MAX_NAME = 64
_OURS = frozenset({"_", "language", "moment", "palette", "public_url", "self", "site_name"})
"""What every template gets from us."""


async def send_own(
    letters: LetterService,
    to: tuple[str, str],
    template: str,
    values: Mapping[str, str],
    language: str | None,
) -> str:
    """Ask for a letter of the application, and return its id.

    It is written once now, so that a mistake is raised here and not when nobody looks.

    Args:
        letters: the service.
        to: the address and its key.
        template: the name of its templates in the operator's folder of letters.
        values: what the templates show.
        language: the reader's language, if known.

    Raises:
        NoMail: the server sends no letters.
        TypeError: a value is no text.
        ValueError: the template is one of ours, is missing or has an error; or a value is missing,
            or has a name that means something else.
    """
    _check(template, values)
    writing = letters.writing
    if template in writing.ours:
        raise ValueError(f"{template!r} is a template of Gatelodge. Give yours another name.")
    try:
        subject, _, _ = writing.write(template, language, values)
    except ConfigurationError as error:
        raise ValueError(str(error)) from error
    if not subject:
        raise ValueError(f"The first line of {template}.txt is the subject. It is empty.")
    tag = writing.language(language).tag if language else None
    request = await letters.ask(template, *to, values, language=tag)
    return request.partition(".")[0]


def _check(template: str, values: Mapping[str, str]) -> None:
    """Refuse what cannot be a name or a value.

    Raises:
        TypeError: a value is no text.
        ValueError: the name of the template is too long, or a value has a name of ours.
    """
    if len(template) > _MAX_NAME:
        raise ValueError(f"The name of a template has {_MAX_NAME} characters at most.")
    for name, value in values.items():
        if not isinstance(value, str):
            raise TypeError(f"The value {name!r} of a letter is no text.")
        if name in _OURS:
            raise ValueError(
                f"Every letter has a value {name!r} of Gatelodge. Name yours otherwise."
            )
