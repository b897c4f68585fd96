"""The languages of pages and letters: which language a reader gets, its texts and its date formats.

English texts are written in the code and the templates. Every other language has a gettext
catalogue `locales/XX/LC_MESSAGES/gatelodge.po`. A catalogue is read when it is first needed; it is
not compiled.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType

from babel import Locale
from babel.dates import format_date, format_datetime, format_timedelta
from babel.messages.pofile import read_po
from babel.numbers import format_decimal
from babel.units import format_unit
from markupsafe import Markup, escape

from gatelodge.marks import N_
from gatelodge.quality import weights_in

LOCALES = Path(__file__).parent / "locales"

READERS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "en": ("AU", "CA", "GB", "IE", "IN", "NZ", "US", "ZA"),
        "de": ("AT", "CH", "DE", "LU"),
    }
)
"""The supported languages, each with the regions whose date formats are supported.

The first language is the one that the code is written in. The list of regions is short because
every region that was used stays in memory."""

_JUST_NOW = timedelta(minutes=1)
_NUMBER = re.compile(r"\d+")


@dataclass(frozen=True, slots=True)
class Language:
    """The language of one reader.

    Attributes:
        locale: language and region, as Babel's type.
        texts: the translations, by the English text.
    """

    locale: Locale
    texts: Mapping[str, str]

    @property
    def tag(self) -> str:
        """The language tag for HTML and HTTP, such as `de-AT` (BCP 47)."""
        return str(self.locale).replace("_", "-")

    def text(self, text: str, **values: object) -> str:
        """Return the translated text, with `%(name)s` replaced, escaped for HTML."""
        translated = escape(self.texts.get(text, text))
        return translated % values if values else translated

    def plain(self, text: str, **values: object) -> str:
        """Return the translated text, with `%(name)s` replaced, not escaped: for plain text."""
        translated = self.texts.get(text, text)
        return translated % values if values else translated

    def sentence(self, message: str) -> str:
        """Return the translation of a refusal's message, which may contain numbers.

        The catalogue has one text for all numbers, such as `Use at least {} characters.`. A message
        that the catalogue does not have is returned unchanged.
        """
        pattern = _NUMBER.sub("{}", message)
        translated = self.texts.get(message) or self.texts.get(pattern)
        if translated is None:
            return message
        return translated.format(*_NUMBER.findall(message))

    def time(self, at: datetime) -> Markup:
        """Return an instant as HTML. It shows UTC; the page's script replaces it by local time."""
        shown = format_datetime(at, "medium", locale=self.locale)
        iso = at.isoformat(timespec="seconds").replace("+00:00", "Z")
        return Markup('<time datetime="{}">{} UTC</time>').format(iso, shown)

    def ago(self, at: datetime, now: datetime) -> Markup:
        """Return how long ago an instant was as HTML, with the instant itself as its title."""
        past = min(at - now, timedelta(0))
        told = (
            self.text(N_("just now"))
            if -past < _JUST_NOW
            else format_timedelta(past, add_direction=True, locale=self.locale)
        )
        exact = format_datetime(at, "medium", locale=self.locale)
        iso = at.isoformat(timespec="seconds").replace("+00:00", "Z")
        html = Markup('<time datetime="{}" title="{} UTC">{}</time>')
        return html.format(iso, exact, told)

    def day(self, at: datetime) -> Markup:
        """Return the day of an instant as HTML, in UTC, with the instant itself as its title."""
        exact = format_datetime(at, "medium", locale=self.locale)
        iso = at.isoformat(timespec="seconds").replace("+00:00", "Z")
        html = Markup('<time datetime="{}" title="{} UTC">{}</time>')
        return html.format(iso, exact, format_date(at, "medium", locale=self.locale))

    def moment(self, at: datetime) -> str:
        """Return an instant as text, in UTC."""
        return format_datetime(at, "long", tzinfo=UTC, locale=self.locale)

    def number(self, number: int) -> str:
        """Return a whole number as text, such as `12,480`."""
        return format_decimal(number, locale=self.locale)

    def duration(self, length: timedelta) -> str:
        """Return a length of time as text, exactly: in days, hours or minutes."""
        minutes = length // timedelta(minutes=1)
        for unit, size in (("day", 24 * 60), ("hour", 60)):
            if minutes > size and minutes % size == 0:
                return format_unit(minutes // size, f"duration-{unit}", locale=self.locale)
        return format_unit(minutes, "duration-minute", locale=self.locale)

    def wait(self, seconds: int) -> str:
        """Return a number of seconds to wait as text, such as `in 30 seconds`."""
        return format_timedelta(timedelta(seconds=seconds), add_direction=True, locale=self.locale)


def language_for(accepted: str, setting: str = "") -> Language:
    """Return the language for a reader.

    Args:
        accepted: the request's `Accept-Language` header, or empty.
        setting: the language that the operator chose for all readers, or empty.
    """
    return _language(_negotiate(accepted[:512], setting))


@lru_cache(maxsize=256)
def _negotiate(accepted: str, setting: str) -> str:
    """Return the name of the supported locale that the reader prefers most."""
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
    if not file.exists():  # English, the language of the code
        return {}
    with file.open("rb") as lines:
        messages = read_po(lines, locale=language)
    return {str(each.id): str(each.string) for each in messages if each.id and each.string}
