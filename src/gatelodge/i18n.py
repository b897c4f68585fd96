"""The pages' languages: which one a reader gets, its texts, and its dates.

English is written in the code and the templates; every other language is a gettext catalogue
`locales/XX/LC_MESSAGES/gatelodge.po`, read as it is when it is first needed.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType

from babel import Locale
from babel.dates import format_datetime, format_timedelta
from babel.messages.pofile import read_po
from markupsafe import Markup, escape

from gatelodge.quality import weights_in

LOCALES = Path(__file__).parent / "locales"

READERS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "en": ("AU", "CA", "GB", "IE", "IN", "NZ", "US", "ZA"),
        "de": ("AT", "CH", "DE", "LU"),
    }
)
"""The languages there are, the first one being the code's own, and the regions whose dates are
written their way. It is a short list because each region read stays in memory."""

_NUMBER = re.compile(r"\d+")


@dataclass(frozen=True, slots=True)
class Language:
    """One reader's language.

    Attributes:
        locale: language and region, as Babel knows them.
        texts: from the English text to this language's.
    """

    locale: Locale
    texts: Mapping[str, str]

    @property
    def tag(self) -> str:
        """The language as HTML and HTTP name it (BCP 47)."""
        return str(self.locale).replace("_", "-")

    def text(self, text: str, **values: object) -> str:
        """Return a text in this language, with `%(name)s` filled in, and escaped for HTML."""
        translated = escape(self.texts.get(text, text))
        return translated % values if values else translated

    def sentence(self, message: str) -> str:
        """Return a refusal's message, which may contain numbers, in this language.

        The catalogue has `Use at least {} characters.`: one text for every number.
        """
        pattern = _NUMBER.sub("{}", message)
        translated = self.texts.get(message) or self.texts.get(pattern)
        if translated is None:
            return message
        return translated.format(*_NUMBER.findall(message))

    def time(self, at: datetime) -> Markup:
        """Return an instant for people, in UTC until the page's module knows their zone."""
        shown = format_datetime(at, "medium", locale=self.locale)
        iso = at.isoformat(timespec="seconds").replace("+00:00", "Z")
        return Markup('<time datetime="{}">{} UTC</time>').format(iso, shown)

    def wait(self, seconds: int) -> str:
        """Return how long to wait, such as `in 30 seconds`."""
        return format_timedelta(timedelta(seconds=seconds), add_direction=True, locale=self.locale)


def language_for(accepted: str, setting: str = "") -> Language:
    """Return the language for a reader.

    Args:
        accepted: the request's `Accept-Language`, or nothing.
        setting: the one language that the operator set, or nothing.
    """
    return _language(_negotiate(accepted[:512], setting))


@lru_cache(maxsize=256)
def _negotiate(accepted: str, setting: str) -> str:
    """Return the name of the first locale that the reader prefers and we have."""
    for tag, weight in weights_in(accepted).items():
        language, _, rest = tag.partition("-")
        region = rest.rpartition("-")[2].upper()
        if weight > 0 and language in READERS and setting in {"", language}:
            return f"{language}_{region}" if region in READERS[language] else language
    return setting or next(iter(READERS))


@lru_cache(maxsize=64)
def _language(name: str) -> Language:
    locale = Locale.parse(name)
    return Language(locale, _catalogue(locale.language))


@lru_cache(maxsize=len(READERS))
def _catalogue(language: str) -> Mapping[str, str]:
    file = LOCALES / language / "LC_MESSAGES" / "gatelodge.po"
    if not file.exists():  # the code's own language
        return {}
    with file.open("rb") as lines:
        messages = read_po(lines, locale=language)
    return {str(each.id): str(each.string) for each in messages if each.id and each.string}
