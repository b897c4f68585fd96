"""The mark of texts for the catalogue, where the reader's language is not known yet."""


def N_(text: str) -> str:  # noqa: N802 - gettext's own name for it
    """Return the text as it is: `i18n.py` translates it when it is shown."""
    return text
