"""The mark for texts that are translated later, when the reader's language is known."""


def N_(text: str) -> str:  # noqa: N802 - the usual name with gettext
    """Return the text unchanged; `i18n.py` translates it when a page shows it."""
    return text
