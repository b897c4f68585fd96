"""Pages: templates in, HTML out, with the headers that every page carries."""

import hashlib
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from jinja2 import (
    ChoiceLoader,
    Environment,
    FileSystemLoader,
    PackageLoader,
    PrefixLoader,
    StrictUndefined,
    TemplateError,
)
from markupsafe import Markup
from starlette.responses import HTMLResponse, Response

from gatelodge.errors import ConfigurationError
from gatelodge.i18n import Language
from gatelodge.pages.theme import Logo, Palette, read_logo
from gatelodge.settings import Settings

STATIC = Path(__file__).parent / "static"

_PERMISSIONS = ", ".join(
    [
        *(
            f"{feature}=()"
            for feature in (
                "accelerometer",
                "autoplay",
                "camera",
                "display-capture",
                "fullscreen",
                "geolocation",
                "gyroscope",
                "magnetometer",
                "microphone",
                "midi",
                "payment",
                "usb",
            )
        ),
        "publickey-credentials-create=(self)",
        "publickey-credentials-get=(self)",
    ]
)


@dataclass(frozen=True, slots=True)
class Asset:
    """A file that pages load.

    Attributes:
        path: where it is.
        content: what it is.
        media_type: what kind of thing it is.
        version: names this content and no other.
    """

    path: str
    content: bytes
    media_type: str
    version: str

    @classmethod
    def of(cls, path: str, content: bytes, media_type: str) -> Self:
        """Return the asset with this content."""
        return cls(path, content, media_type, hashlib.sha256(content).hexdigest()[:16])

    @property
    def url(self) -> str:
        """Where this very content is; it never changes there."""
        return f"{self.path}?v={self.version}"


@dataclass(frozen=True, slots=True)
class Site:
    """What the operator set for all pages.

    Attributes:
        name: what people know this place by.
        language: the one language of the pages; nothing: each reader's own.
        origins: those that a page may send its reader to afterwards.
        assets: the files that pages load, by their paths.
        icon: the URL of what stands for this place in a browser's tab.
        logo: the same, where the operator set one; nothing: pages draw ours.
        script: the module that pages contain.
        password_minimum: fewest characters of a new password.
    """

    name: str
    language: str
    origins: frozenset[str]
    assets: Mapping[str, Asset]
    icon: str
    logo: str
    script: Markup
    password_minimum: int

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """Return the site of these settings.

        Raises:
            ConfigurationError: the logo cannot be used.
        """
        palette = Palette.of(settings.accent_color)
        logo = read_logo(settings.logo)
        assets = (_style(palette), _logo_asset(logo or _own_logo(palette)))
        return cls(
            name=settings.site_name,
            language=settings.language,
            origins=frozenset({settings.public_origin, *settings.known_origins}),
            assets={asset.path: asset for asset in assets},
            icon=assets[1].url,
            logo=assets[1].url if logo else "",
            script=Markup((STATIC / "page.js").read_text().strip()),  # noqa: S704 - our own file
            password_minimum=settings.password_minimum,
        )

    @property
    def style(self) -> str:
        """The URL of the stylesheet."""
        return self.assets["/static/style.css"].url


class Pages:
    """Renders the templates of this package, or the operator's in their place."""

    def __init__(self, site: Site, templates: Path | None = None) -> None:
        """Find the templates; each is read when it is first shown.

        Raises:
            ConfigurationError: there is no such folder.
        """
        if templates is not None and not templates.is_dir():
            raise ConfigurationError(f"GATELODGE_TEMPLATES_DIR: {templates} is no folder.")
        self.site = site
        self._environment = _environment(templates)

    def page(
        self,
        template: str,
        language: Language,
        status: int = 200,
        *,
        posts_lead_to: str = "",
        **context: Any,
    ) -> Response:
        """Return a page as an answer.

        Args:
            template: its name.
            language: the reader's.
            status: of the answer.
            posts_lead_to: the other origin that the page's forms redirect to, if there is one.
            context: what the template shows.

        Raises:
            ConfigurationError: the operator's template has a mistake.
        """
        nonce = secrets.token_urlsafe(16)
        try:
            text = self._environment.get_template(template).render(
                _=language.text, language=language, site=self.site, nonce=nonce, **context
            )
        except TemplateError as error:
            raise ConfigurationError(f"the template {template}: {error}") from error
        return HTMLResponse(text, status, _headers(nonce, language, posts_lead_to))


def _environment(templates: Path | None) -> Environment:
    """Return the environment in which `gatelodge/base.html` is always our own."""
    ours = PackageLoader("gatelodge.pages")
    theirs = [FileSystemLoader(templates)] if templates else []
    return Environment(
        loader=ChoiceLoader([*theirs, ours, PrefixLoader({"gatelodge": ours})]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )


def _headers(nonce: str, language: Language, posts_lead_to: str) -> dict[str, str]:
    """Return the headers of a page; the shell adds those that all answers carry."""
    targets = f"'self' {posts_lead_to}".strip()
    return {
        "Content-Security-Policy": (
            f"default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; "
            f"img-src 'self' data:; connect-src 'self'; form-action {targets}; base-uri 'none'; "
            "object-src 'none'; frame-ancestors 'none'"
        ),
        "Cross-Origin-Opener-Policy": "same-origin",
        "Permissions-Policy": _PERMISSIONS,
        # With `no-referrer`, browsers send `Origin: null` along with a form (Fetch, "append a
        # request Origin header"), and those that send no Sec-Fetch-Site could not post any.
        "Referrer-Policy": "same-origin",
        "Content-Language": language.tag,
        "Vary": "Accept, Accept-Language, Cookie",
    }


def _style(palette: Palette) -> Asset:
    css = palette.css() + (STATIC / "style.css").read_text()
    return Asset.of("/static/style.css", css.encode(), "text/css; charset=utf-8")


def _logo_asset(logo: Logo) -> Asset:
    return Asset.of("/static/logo", logo.content, logo.media_type)


def _own_logo(palette: Palette) -> Logo:
    drawing = (STATIC / "logo.svg").read_text().strip()
    drawing = drawing.replace("#0b6e4f", palette.light).replace("#5fb597", palette.dark)
    return Logo(drawing.encode(), "image/svg+xml")
