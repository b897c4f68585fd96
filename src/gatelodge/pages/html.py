"""Renders templates to HTML answers, with the headers that every page carries."""

import hashlib
import re
import secrets
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
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
from starlette.types import Receive, Scope, Send
from typing_extensions import override

from gatelodge.errors import ConfigurationError
from gatelodge.i18n import Language
from gatelodge.pages.hints import Hints, as_data, hints_of
from gatelodge.pages.theme import Logo, read_logo
from gatelodge.pages.wording import passkey_says
from gatelodge.palette import Palette
from gatelodge.settings import Settings
from gatelodge.turns import Turns

STATIC = Path(__file__).parent / "static"

_CONSOLE = ("style", "admin")
_SPARE = re.compile(
    r"\s*(?:/\*.*?\*/\s*)+|(?<=[{};,])\s+|\s+(?=[{}])|(?<=[a-z]:) +|;(?=\s*\})", re.DOTALL
)
"""What a stylesheet can do without: comments, line breaks, indents and spaces after colons."""

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
    """A file that pages load, such as the stylesheet.

    Attributes:
        path: the path in the URL.
        content: the bytes of the file.
        media_type: the `Content-Type`.
        version: a hash of the content, for the URL.
    """

    path: str
    content: bytes
    media_type: str
    version: str

    @classmethod
    def of(cls, path: str, content: bytes, media_type: str) -> Self:
        """Return an asset; its version is computed from the content."""
        return cls(path, content, media_type, hashlib.sha256(content).hexdigest()[:16])

    @property
    def url(self) -> str:
        """The URL of exactly this content; browsers may cache it for ever."""
        return f"{self.path}?v={self.version}"


@dataclass(frozen=True, slots=True)
class Site:
    """The operator's settings for all pages.

    Attributes:
        name: the name of the site.
        path: the path of the public address, which all links begin with; usually empty.
        home: the address of the start page: the server's own, or that of the application.
        embedded: whether the server is part of an application, which has the start page.
        language: the language of all pages; empty: each reader's own language.
        origins: the origins that a page may redirect to afterwards.
        assets: the files that pages load, by path.
        icon: the URL of the icon for browser tabs.
        logo: the URL of the operator's logo; empty: pages show the built-in one.
        script: the JavaScript that every page contains.
        password_minimum: the minimum number of characters of a new password.
        sign_up_open: whether people can make themselves an account.
        sign_up_by_passkey: whether they may do so by a passkey, without a password.
        sign_in_by_code: whether users may sign in by a code from a letter.
        username_change: whether users may change their usernames.
        second_factors: whether users may add second factors.
        passkeys: the origins on whose pages passkeys work, ours first; empty: there are none.
        passkeys_for: the domain that passkeys are bound to.
        mail: whether the server sends letters.
        outbox: whether it keeps them, and shows them at `/dev/outbox`.
        secure: whether users reach the server over TLS.
        cookies: the pattern of the names of the pages' own cookies.
        hints: the rules that the script checks as one types.
    """

    name: str
    path: str
    home: str
    embedded: bool
    language: str
    origins: frozenset[str]
    assets: Mapping[str, Asset]
    icon: str
    logo: str
    script: Markup
    password_minimum: int
    sign_up_open: bool
    sign_up_by_passkey: bool
    sign_in_by_code: bool
    username_change: bool
    second_factors: bool
    passkeys: tuple[str, ...]
    passkeys_for: str
    mail: bool
    outbox: bool
    secure: bool
    cookies: str
    hints: Hints

    @classmethod
    def of(cls, settings: Settings, home: str | None = None) -> Self:
        """Return the site for these settings.

        Args:
            settings: the settings.
            home: the address of the start page of the application that the server is part of; None:
                the server has its own.

        Raises:
            ConfigurationError: the logo cannot be used; the message says why.
        """
        palette = Palette.of(settings.accent_color)
        logo = read_logo(settings.logo)
        assets = (
            _style(palette),
            _logo_asset(logo or _own_logo(palette)),
            _script("passkeys"),
            *_console(palette),
            *_reference(),
        )
        return cls(
            name=settings.site_name,
            path=settings.public_path,
            home=f"{settings.public_path}/" if home is None else home,
            embedded=home is not None,
            language=settings.language,
            origins=frozenset({settings.public_origin, *settings.known_origins}),
            assets={asset.path: asset for asset in assets},
            icon=f"{settings.public_path}{assets[1].url}",
            logo=f"{settings.public_path}{assets[1].url}" if logo else "",
            script=Markup((STATIC / "page.js").read_text().strip()),  # noqa: S704 - our own file
            password_minimum=settings.password_minimum,
            sign_up_open=settings.sign_up == "open",
            sign_up_by_passkey=settings.sign_up_by_passkey == "on",
            sign_in_by_code=settings.sign_in_by_code == "on",
            username_change=settings.username_change == "on",
            second_factors=settings.second_factor != "off",
            passkeys=(settings.public_origin, *settings.passkey_origins)
            if settings.passkeys_for
            else (),
            passkeys_for=settings.passkeys_for,
            mail=settings.post != "none",
            outbox=settings.post == "folder",
            secure=settings.secure,
            cookies=_cookie_names(settings),
            hints=hints_of(settings.password_minimum),
        )

    def cookie(self, kind: str) -> str:
        """Return the name of the pages' own cookie of this kind."""
        return self.cookies.format(kind)

    @property
    def style(self) -> str:
        """The URL of the stylesheet."""
        return f"{self.path}{self.assets['/static/style.css'].url}"

    @property
    def passkey_script(self) -> str:
        """The URL of the script that asks browsers for passkeys."""
        return f"{self.path}{self.assets['/static/passkeys.js'].url}"

    @property
    def console_style(self) -> str:
        """The URL of the stylesheet of the administration's pages."""
        return f"{self.path}{self.assets['/static/admin.css'].url}"

    @property
    def console_script(self) -> str:
        """The URL of the script with the keys of the administration's pages."""
        return f"{self.path}{self.assets['/static/admin.js'].url}"


class Pages:
    """Renders templates. The operator's templates replace built-in ones of the same name."""

    def __init__(self, site: Site, templates: Path | None = None) -> None:
        """Prepare the templates; each is read when it is first used.

        Args:
            site: the settings for all pages.
            templates: the folder with the operator's templates, or None.

        Raises:
            ConfigurationError: the folder does not exist.
        """
        if templates is not None and not templates.is_dir():
            raise ConfigurationError(f"GATELODGE_TEMPLATES_DIR: {templates} is not a folder.")
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
        """Return a page as an answer. It is rendered when it is sent.

        Args:
            template: the name of the template.
            language: the reader's language.
            status: the HTTP status.
            posts_lead_to: another origin that the page's forms redirect to; empty: none. The
                Content-Security-Policy must allow it.
            context: the values for the template.

        Raises:
            ConfigurationError: the operator's template has an error; the answer raises it too.
        """
        nonce = secrets.token_urlsafe(16)
        with _errors_of(template):
            pieces = self._environment.get_template(template).generate(
                _=language.text,
                language=language,
                site=self.site,
                nonce=nonce,
                hints=lambda kind: as_data(self.site.hints[kind], language),
                passkey_says=lambda makes: passkey_says(language, makes=makes),
                **context,
            )
        return _Page(template, pieces, status, _headers(nonce, language, posts_lead_to))


class _Page(HTMLResponse):
    """A page that is rendered when it is sent, in turns with other requests."""

    def __init__(
        self, template: str, pieces: Iterable[str], status: int, headers: Mapping[str, str]
    ) -> None:
        super().__init__(None, status, headers)
        self._template = template
        self._pieces = pieces

    @override
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        turns, text = Turns(), []
        with _errors_of(self._template):
            for piece in self._pieces:
                text.append(piece)
                await turns.next()
        self.body = "".join(text).encode()
        self.headers["Content-Length"] = str(len(self.body))
        await super().__call__(scope, receive, send)


@contextmanager
def _errors_of(template: str) -> Iterator[None]:
    """Turn errors of a template into a sentence that names it.

    Raises:
        ConfigurationError: the template has an error.
    """
    try:
        yield
    except TemplateError as error:
        raise ConfigurationError(f"the template {template}: {error}") from error


def _environment(templates: Path | None) -> Environment:
    """Return the Jinja environment; `gatelodge/base.html` always names the built-in template."""
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
    """Return the headers of a page; the shell adds the headers of all answers."""
    targets = f"'self' {posts_lead_to}".strip()
    return {
        "Content-Security-Policy": (
            f"default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; "
            f"img-src 'self' data:; connect-src 'self'; form-action {targets}; base-uri 'none'; "
            "object-src 'none'; frame-ancestors 'none'"
        ),
        "Cross-Origin-Opener-Policy": "same-origin",
        "Permissions-Policy": _PERMISSIONS,
        # With `no-referrer`, browsers post forms with `Origin: null` (Fetch, "append a request
        # Origin header"). Browsers that send no Sec-Fetch-Site could then post no form.
        "Referrer-Policy": "same-origin",
        "Content-Language": language.tag,
        "Vary": "Accept, Accept-Language, Cookie",
    }


def _cookie_names(settings: Settings) -> str:
    """Return the pattern of the names: these cookies never leave this host (RFC 6265bis, 4.1.3)."""
    prefix = "__Host-" if settings.secure else ""
    port = f"-{settings.cookie_port}" if settings.cookie_port else ""
    return f"{prefix}{settings.cookie_name}-{{}}{port}"


def _style(palette: Palette) -> Asset:
    css = palette.css() + (STATIC / "style.css").read_text()
    return Asset.of("/static/style.css", css.encode(), "text/css; charset=utf-8")


def _script(name: str) -> Asset:
    script = (STATIC / f"{name}.js").read_bytes()
    return Asset.of(f"/static/{name}.js", script, "text/javascript; charset=utf-8")


def _console(palette: Palette) -> tuple[Asset, Asset]:
    """Return the stylesheet and the script of the administration: our style, and more, in one."""
    style = palette.css() + "".join((STATIC / f"{name}.css").read_text() for name in _CONSOLE)
    lean = _SPARE.sub("", style)
    return Asset.of("/static/admin.css", lean.encode(), "text/css; charset=utf-8"), _script("admin")


def _reference() -> tuple[Asset, Asset]:
    """Return the stylesheet and the script of the API reference: Swagger UI's, then ours."""
    kit = STATIC / "swagger-ui"
    style = (kit / "swagger-ui.css").read_bytes() + (STATIC / "reference.css").read_bytes()
    script = (kit / "swagger-ui-bundle.js").read_bytes() + (STATIC / "reference.js").read_bytes()
    return (
        Asset.of("/static/reference.css", style, "text/css; charset=utf-8"),
        Asset.of("/static/reference.js", script, "text/javascript; charset=utf-8"),
    )


def _logo_asset(logo: Logo) -> Asset:
    return Asset.of("/static/logo", logo.content, logo.media_type)


def _own_logo(palette: Palette) -> Logo:
    drawing = (STATIC / "logo.svg").read_text().strip()
    drawing = drawing.replace("#0b6e4f", palette.light).replace("#5fb597", palette.dark)
    return Logo(drawing.encode(), "image/svg+xml")
