"""Makes the source of an application, and the routes that come with it, from what was written."""

from collections.abc import Collection, Mapping
from datetime import timedelta
from typing import Any

from gatelodge.app import PARTS, Part, paths_of
from gatelodge.clock import Clock
from gatelodge.embedded.beside import Remote
from gatelodge.embedded.inside import Embedded
from gatelodge.embedded.routes import HouseRoutes
from gatelodge.letters.post import Post
from gatelodge.settings import Settings
from gatelodge.verdicts import is_meant
from gatelodge.webhook_signature import Secrets

_WELL_KNOWN = "/.well-known/change-password"
"""It is asked for below the origin, wherever the pages are."""


def source_for(
    issuer: str | None,
    freshness: timedelta,
    home: str,
    clock: Clock | None,
    settings: Mapping[str, Any],
    webhook_secret: Secrets | None = None,
    post: Post | None = None,
) -> Embedded | Remote:
    """Return the source: the server at an address, or without one the house in this process.

    Raises:
        TypeError: there is no setting of this name, or the server beside has its own, or its own
            mail.
        ValueError: the address of the server is none of https, or the webhook secret is none.
    """
    if issuer is not None:
        if settings:
            raise TypeError(f"The server at {issuer} has its own settings: {', '.join(settings)}.")
        if post is not None:
            raise TypeError(f"The server at {issuer} sends its letters itself.")
        return Remote(issuer, freshness, clock, webhook_secret)
    if webhook_secret is not None:
        raise TypeError("Gatelodge runs in the application: functions are told without webhooks.")
    for name in settings:
        if name not in Settings.model_fields:
            hint = is_meant(name, Settings.model_fields)
            raise TypeError(f"Gatelodge has no setting {name}.{hint}")
    return Embedded(dict(settings), home, clock, post)


def routes_for(source: Embedded | Remote, prefix: str, parts: Collection[Part]) -> HouseRoutes:
    """Return the routes that come with a source: of a server beside the application, its webhook.

    Raises:
        ValueError: the prefix is no path, or there is no such part.
    """
    if prefix and (not prefix.startswith("/") or prefix.endswith("/")):
        raise ValueError(f'The prefix {prefix!r} must be a path such as "/auth".')
    if unknown := set(parts) - set(PARTS):
        raise ValueError(f"There is no part {unknown.pop()!r}; there are {', '.join(PARTS)}.")
    if isinstance(source, Remote):
        return HouseRoutes(source, source.paths, prefix)
    source.prefix = prefix
    outside = [_WELL_KNOWN] if prefix and "pages" in parts else []
    return HouseRoutes(source, paths_of(parts), prefix, outside)
