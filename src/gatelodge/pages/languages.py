"""The choice of a language at the foot of each page: links to the same page in another language.

A link changes nothing on the server. Its answer sets a cookie that keeps the choice.
"""

from dataclasses import dataclass
from datetime import timedelta
from functools import cache

from babel import Locale
from starlette.requests import Request

from gatelodge.i18n import READERS, Language
from gatelodge.pages.html import Site
from gatelodge.web.cookie_jar import Cookie, cookie_jar
from gatelodge.web.return_address import checked

_LIFE = timedelta(days=365)


@dataclass(frozen=True, slots=True)
class LanguageLink:
    """A link to the same page in a language.

    Attributes:
        tag: the language.
        name: what its speakers call it.
        address: the address of the page.
        current: whether this page is in the language.
    """

    tag: str
    name: str
    address: str
    current: bool


def language_links(request: Request, current: Language, path: str) -> list[LanguageLink]:
    """Return a link for each language that there is.

    Args:
        request: the request for the page.
        current: the language of the page.
        path: the path of the public address.
    """
    return [
        LanguageLink(tag, name, _address(request, tag, path), tag == current.locale.language)
        for tag, name in _names().items()
    ]


def chosen_language(request: Request, site: Site) -> str:
    """Return the language that the reader chose, by this request or before; empty: none.

    A choice by this request is kept in a cookie.
    """
    asked = request.query_params.get("language", "")
    if asked in READERS:
        cookie = Cookie(site.cookie("language"), asked, _LIFE, secure=site.secure)
        cookie_jar(request.scope).add(cookie)
        return asked
    kept = request.cookies.get(site.cookie("language"), "")
    return kept if kept in READERS else ""


def _address(request: Request, tag: str, path: str) -> str:
    """Return the address of the requested page in another language, else of the start page."""
    url = request.url.include_query_params(language=tag)
    return checked(f"{path}{url.path}?{url.query}") or f"{path}/?language={tag}"


@cache
def _names() -> dict[str, str]:
    """Return what its speakers call each language; not at the start: it reads many files."""
    return {tag: Locale.parse(tag).get_display_name(tag) or tag for tag in READERS}
