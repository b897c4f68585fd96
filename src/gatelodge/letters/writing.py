"""Writes letters from templates, in the reader's language.

A letter has a text template, whose first line is the subject, and an HTML template. Operators
replace them as they replace those of pages. No letter loads anything: the HTML is complete, and
reads well in light and dark mail programs.
"""

import re
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gatelodge.errors import ConfigurationError
from gatelodge.i18n import Language, language_for
from gatelodge.palette import Palette
from gatelodge.settings import Settings

if TYPE_CHECKING:
    from jinja2 import Environment  # slow to import, and most commands write no letter

OVERRIDES = "letters"
"""The folder for letters in the operator's folder of templates."""

_KIND = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")
_EMPTY_LINES = re.compile(r"\n(?:[ \t]*\n){2,}")
_UNITS = ("minutes", "hours", "days")


class Writing:
    """Writes letters with these settings."""

    def __init__(self, settings: Settings) -> None:
        """Read no template yet; each is read when it is first used."""
        self._templates = settings.templates_dir
        self._language = settings.language
        self._site = {
            "site_name": settings.site_name,
            "public_url": settings.public_base,
            "palette": Palette.of(settings.accent_color),
        }

    def language(self, tag: str | None) -> Language:
        """Return the language for a reader: the one that is set for everybody, or theirs.

        Args:
            tag: the reader's language (BCP 47), if it is known.
        """
        return language_for(tag or "", self._language)

    def write(
        self, kind: str, language: str | None, values: Mapping[str, object]
    ) -> tuple[str, str, str]:
        """Return the subject, the text and the HTML of a letter; without a template, no HTML.

        Args:
            kind: the name of its templates.
            language: the reader's language (BCP 47), if it is known.
            values: what the templates show. Breaks in them become blanks, so that no value can look
                like a paragraph of ours. `minutes`, `hours` or `days` say how long the letter's
                link and code are valid; templates get it as `life`. `program` and `system` are
                a device as `sessions/devices.py` names it; templates get it as `device`.

        Raises:
            ConfigurationError: there is no such template, it has an error, or a value is missing.
        """
        if not _KIND.fullmatch(kind):
            raise ConfigurationError(f"{kind!r} is no name of a letter's templates")
        reader = self.language(language)
        shown = {name: _one_line(value) for name, value in values.items()}
        context = {
            **self._site,
            **_life(shown, reader),
            **_device(shown, reader),
            **shown,
            "moment": _moment(reader),
        }
        text = self._render(f"{kind}.txt", reader, reader.plain, context)
        page = f"{kind}.html"
        html = self._render(page, reader, reader.text, context) if page in self._names else ""
        subject, _, body = text.strip().partition("\n")
        paragraphs = _EMPTY_LINES.sub("\n\n", body).strip()
        return subject.strip(), f"{paragraphs}\n", html

    def _render(
        self, name: str, language: Language, translate: Callable[..., str], context: dict[str, Any]
    ) -> str:
        from jinja2 import TemplateError  # noqa: PLC0415 - slow, and most commands write no letter

        try:
            template = self._environment.get_template(name)
            return template.render(_=translate, language=language, **context)
        except TemplateError as error:
            raise ConfigurationError(f"the template {OVERRIDES}/{name}: {error}") from error

    @cached_property
    def ours(self) -> frozenset[str]:
        """The names of our own templates, without their endings."""
        from jinja2 import PackageLoader  # noqa: PLC0415 - slow, and most commands write no letter

        names = PackageLoader("gatelodge.letters").list_templates()
        return frozenset(name.partition(".")[0] for name in names)

    @cached_property
    def _names(self) -> frozenset[str]:
        return frozenset(self._environment.list_templates())

    @cached_property
    def _environment(self) -> "Environment":
        return _environment(self._templates)


def _environment(templates: Path | None) -> "Environment":
    """Return the Jinja environment; `gatelodge/layout.html` always names the built-in template."""
    from jinja2 import (  # noqa: PLC0415 - see above
        ChoiceLoader,
        Environment,
        FileSystemLoader,
        PackageLoader,
        PrefixLoader,
        StrictUndefined,
        select_autoescape,
    )

    ours = PackageLoader("gatelodge.letters")
    theirs = [FileSystemLoader(templates / OVERRIDES)] if templates else []
    return Environment(
        loader=ChoiceLoader([*theirs, ours, PrefixLoader({"gatelodge": ours})]),
        autoescape=select_autoescape(("html",)),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )


def _one_line(value: object) -> object:
    return " ".join(value.split()) if isinstance(value, str) else value


def _life(values: Mapping[str, object], language: Language) -> dict[str, str]:
    """Return how long a letter's link and code are valid, as text, if the values say it."""
    named = {unit: float(str(values[unit])) for unit in _UNITS if unit in values}
    return {"life": language.duration(timedelta(**named))} if named else {}


def _device(values: Mapping[str, object], language: Language) -> dict[str, str]:
    """Return the name of a device, if the values say it."""
    program, system = (str(values.get(name, "")) for name in ("program", "system"))
    if not program:
        return {}
    if not system:
        return {"device": language.plain(program)}
    return {"device": language.plain("%(program)s on %(system)s", program=program, system=system)}


def _moment(language: Language) -> Callable[[object], str]:
    def moment(at: object) -> str:
        return language.moment(at if isinstance(at, datetime) else datetime.fromisoformat(str(at)))

    return moment
