"""Django: who makes a request, and who may use a view.

MIDDLEWARE = [..., "gatelodge.django.GatelodgeMiddleware"]
GATELODGE_ISSUER = "https://id.example.com"

@require(role="editor")
def notes(request):
    return JsonResponse({"notes": f"The notes of {request.user.username}"})
"""

import asyncio
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from functools import cache, wraps
from typing import Any, TypeVar
from uuid import UUID

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.signals import setting_changed
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils.functional import SimpleLazyObject

from gatelodge import user as users
from gatelodge.client import IssuerUnavailable, NotSignedIn, Refusal, SyncVerifier
from gatelodge.client.verifier import DEFAULT_FRESHNESS
from gatelodge.gate.conditions import Condition, Names, condition_for
from gatelodge.gate.refusals import Forbidden, NoToken
from gatelodge.methods import Level
from gatelodge.web.bearer import token_in
from gatelodge.web.refusals import NOBODY_FOR_APPLICATIONS
from gatelodge.web.responses import plain_answer

__all__ = [
    "Forbidden",
    "GatelodgeBackend",
    "GatelodgeMiddleware",
    "IssuerUnavailable",
    "Nobody",
    "NotSignedIn",
    "Refusal",
    "User",
    "current_user",
    "require",
]

View = TypeVar("View", bound=Callable[..., Any])

_FOUND = "_gatelodge"
"""The attribute of a request that says what was found out about it."""

_TOKEN_HEADERS = ("Authorization", "X-Access-Token")
_AUTHENTICATION = "django.contrib.auth.middleware.AuthenticationMiddleware"


class Groups(frozenset[str]):
    """The roles of a user, where Django has groups."""

    def filter(self, *, name: str) -> "Groups":
        """Return the group of this name, if the user is in it."""
        return Groups(self & {name})

    def exists(self) -> bool:
        """Say whether there is a group."""
        return bool(self)


class Nobody:
    """Stands for a user where nobody is signed in, in an application without Django's own users."""

    pk: str | None = None
    id: str | None = None
    username = ""
    is_authenticated = is_active = is_staff = is_superuser = False
    is_anonymous = True
    groups = Groups()

    def get_username(self) -> str:
        """Return an empty text."""
        return self.username

    def has_perm(self, perm: str, obj: object = None) -> bool:  # noqa: ARG002 - as Django calls it
        """Say no."""
        return False

    def has_perms(self, perm_list: Iterable[str], obj: object = None) -> bool:
        """Say no, unless nothing is asked for."""
        return all(self.has_perm(perm, obj) for perm in perm_list)

    def has_module_perms(self, app_label: str) -> bool:  # noqa: ARG002 - as Django calls it
        """Say no."""
        return False

    def __str__(self) -> str:
        return "nobody"


class User(Nobody):
    """A user who is signed in by an access token, with what views and templates ask of users.

    There is no row for it in Django's tables, and it cannot be saved or logged in to a session.

    Attributes:
        signed_in: what Gatelodge knows of the user; see `gatelodge.client.User`.
        subject: the user's id, which never changes and is never used again; also `pk` and `id`.
        groups: the roles that the user holds.
        backend: the backend that found the user; `django.contrib.auth.authenticate` writes it.
    """

    is_authenticated = is_active = True
    is_anonymous = False

    def __init__(self, signed_in: users.User) -> None:
        """Stand for this user."""
        self.signed_in = signed_in
        self.backend = f"{__name__}.{GatelodgeBackend.__name__}"
        self.pk = self.id = self.subject = signed_in.subject
        self.username = signed_in.username
        self.groups = Groups(signed_in.roles)

    @property
    def uuid(self) -> UUID:
        """The subject as a UUID, for columns of that type."""
        return self.signed_in.uuid

    @property
    def email(self) -> str:
        """The e-mail address, or an empty text."""
        return self.signed_in.email or ""

    @property
    def roles(self) -> frozenset[str]:
        """The roles that the user holds."""
        return self.signed_in.roles

    @property
    def permissions(self) -> frozenset[str]:
        """What these roles permit."""
        return self.signed_in.permissions

    @property
    def authenticated_at(self) -> datetime | None:
        """When the user last proved who they are; None: it is not known here."""
        return self.signed_in.authenticated_at

    @property
    def methods(self) -> frozenset[str]:
        """How the user proved it: values of the claim `amr`, such as `pwd` (RFC 8176)."""
        return self.signed_in.methods

    @property
    def impersonator(self) -> str | None:
        """The id of the administrator who acts in the place of this user; None: it is the user."""
        return self.signed_in.impersonator

    def get_full_name(self) -> str:
        """Return what to call the user, or an empty text."""
        return self.signed_in.name

    def get_short_name(self) -> str:
        """Return what to call the user, or the username."""
        return self.signed_in.name or self.username

    def has_perm(self, perm: str, obj: object = None) -> bool:
        """Say whether the roles of the user permit something, such as `notes:write`.

        A permission for one object is never held: Gatelodge knows no objects.
        """
        return obj is None and perm in self.permissions

    def __str__(self) -> str:
        return self.username

    def __eq__(self, other: object) -> bool:
        return isinstance(other, User) and other.pk == self.pk

    def __hash__(self) -> int:
        return hash(self.pk)


class GatelodgeBackend:
    """An authentication backend: `authenticate(request, token=…)` returns the user of a token.

    It does nothing for users of other backends.
    """

    def authenticate(self, request: HttpRequest | None, token: str | None = None) -> User | None:  # noqa: ARG002
        """Return the user who is signed in by an access token, or None.

        Raises:
            IssuerUnavailable: nobody can say at this moment who is signed in.
        """
        if token is None:
            return None
        try:
            return User(verifier().check(token))
        except NotSignedIn:
            return None

    def get_user(self, user_id: object) -> None:
        """Return None: no session of Django holds a user of Gatelodge."""


class GatelodgeMiddleware:
    """Sets `request.user` to the user of the access token, if a request carries one.

    Without a token, `request.user` stays as it is: Django's own sessions work beside it. The token
    is read from `Authorization: Bearer …` or `X-Access-Token`, never from a cookie. So no other
    site can make a browser send it, and such a request needs no CSRF token.

    Every `Refusal` that a view raises becomes a JSON answer.
    """

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Callable[[HttpRequest], Any]) -> None:
        """Check the settings.

        Raises:
            ImproperlyConfigured: no issuer is named, or the order of the middleware is wrong.
        """
        _check_order(type(self))
        verifier()
        self._get_response = get_response
        self._is_async = iscoroutinefunction(get_response)
        if self._is_async:
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> Any:
        """Find the user, and pass the request on."""
        found = _Found(request)
        if self._is_async:
            return self._call_async(request, found)
        found.install(request)
        return self._get_response(request)

    async def _call_async(self, request: HttpRequest, found: "_Found") -> HttpResponse:
        if found.has_token:
            await asyncio.to_thread(found.look)  # a view in the event loop must not wait for it
        found.install(request)
        response: HttpResponse = await self._get_response(request)
        return response

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:  # noqa: ARG002
        """Answer a refusal."""
        return _answer(exception) if isinstance(exception, Refusal) else None


class _Found:
    """What was found out about the token of a request; it is looked at once."""

    def __init__(self, request: HttpRequest) -> None:
        self._token: str | None = None
        self._outcome: User | Refusal | None = None
        self.is_known = False
        try:
            self._token = token_in(
                (name.lower().encode(), request.headers[name].encode("latin-1"))
                for name in _TOKEN_HEADERS
                if name in request.headers
            )
        except Refusal as refusal:
            self._outcome = refusal
        self.has_token = bool(self._token or self._outcome)

    def look(self) -> User | Refusal | None:
        """Return the user, why there is none, or None without a token."""
        if self._token is not None and not self.is_known:
            try:
                self._outcome = User(verifier().check(self._token))
            except Refusal as refusal:
                self._outcome = refusal
        self.is_known = True
        return self._outcome

    def get(self) -> User:
        """Return the user.

        Raises:
            Refusal: nobody is signed in, or nobody can say who it is.
        """
        outcome = self.look()
        if isinstance(outcome, User):
            return outcome
        raise outcome or NoToken()

    def get_or_nobody(self) -> User | Nobody:
        """Return the user, or nobody.

        Raises:
            IssuerUnavailable: nobody can say at this moment who is signed in.
        """
        try:
            return self.get()
        except NOBODY_FOR_APPLICATIONS:
            return Nobody()

    def install(self, request: Any) -> None:
        """Let a request tell its user."""
        setattr(request, _FOUND, self)
        if not self.has_token and hasattr(request, "user"):
            return
        request.user = SimpleLazyObject(self.get_or_nobody)

        async def auser() -> User | Nobody:
            return await asyncio.to_thread(self.get_or_nobody)

        request.auser = auser
        if self.has_token:
            request._dont_enforce_csrf_checks = True  # noqa: SLF001 - as Django's own tests do


def current_user(request: HttpRequest) -> User:
    """Return the user of the access token. It is `request.user`, with a type that editors know.

    Raises:
        Refusal: nobody is signed in by a token, or nobody can say who it is.
    """
    return _found_of(request).get()


def require(
    *,
    role: Names = (),
    permission: Names = (),
    fresh: timedelta | None = None,
    methods: Names = (),
    aal: Level = 1,
) -> Callable[[View], View]:
    """Return a decorator that admits only users who meet all conditions; without any, all users.

    It admits users of tokens, not those of Django's sessions. In a class-based view, use it with
    `method_decorator(require(…), name="dispatch")`.

    Args:
        role: the role that the user must hold, as text or as a member of an enum; of several, one
            is enough.
        permission: the permission that the user must have, likewise.
        fresh: how long ago the user may have proved who they are, at most.
        methods: how the user must have proved it (`amr`; RFC 8176), such as `otp`; of several, one
            is enough.
        aal: how sure the proof must be: 2 needs a second factor, or a passkey.

    Raises:
        ValueError: a name is empty, or there is no such level.
    """
    condition = condition_for(role, permission, fresh, methods, aal)

    def decorate(view: View) -> View:
        if iscoroutinefunction(view):

            @wraps(view)
            async def admitted(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
                if not _found_of(request).is_known:
                    await asyncio.to_thread(_found_of(request).look)
                _admit(request, condition)
                return await view(request, *args, **kwargs)
        else:

            @wraps(view)
            def admitted(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
                _admit(request, condition)
                return view(request, *args, **kwargs)

        return admitted  # type: ignore[return-value]

    return decorate


def _found_of(request: HttpRequest) -> _Found:
    found: _Found | None = getattr(request, _FOUND, None)
    if found is None:
        raise ImproperlyConfigured(f'Add "{__name__}.GatelodgeMiddleware" to MIDDLEWARE.')
    return found


def _admit(request: HttpRequest, condition: Condition) -> None:
    condition.check(current_user(request), verifier().clock)


@cache
def verifier() -> SyncVerifier:
    """Return the verifier of this process, made from the settings.

    Raises:
        ImproperlyConfigured: `GATELODGE_ISSUER` is missing, or is no address as it must be.
    """
    issuer = getattr(settings, "GATELODGE_ISSUER", None)
    if isinstance(issuer, SyncVerifier):
        return issuer
    if not issuer:
        raise ImproperlyConfigured("Set GATELODGE_ISSUER to the public address of the server.")
    freshness = getattr(settings, "GATELODGE_FRESHNESS", DEFAULT_FRESHNESS)
    try:
        return SyncVerifier(issuer, freshness=freshness)
    except ValueError as error:
        raise ImproperlyConfigured(f"GATELODGE_ISSUER: {error}") from error


def _forget(*, setting: str, **_: object) -> None:
    """Make another verifier when a test changes the settings."""
    if setting.startswith("GATELODGE_"):
        verifier.cache_clear()


setting_changed.connect(_forget)


def _check_order(middleware: type) -> None:
    """Refuse an order in which Django's sessions would replace the user of the token.

    Raises:
        ImproperlyConfigured: it is so.
    """
    names = list(settings.MIDDLEWARE)
    ours = f"{middleware.__module__}.{middleware.__qualname__}"
    if {ours, _AUTHENTICATION} <= set(names) and names.index(ours) < names.index(_AUTHENTICATION):
        raise ImproperlyConfigured(f"Put {ours} below {_AUTHENTICATION} in MIDDLEWARE.")


def _answer(refusal: Refusal) -> JsonResponse:
    status, body, headers = plain_answer(refusal)
    return JsonResponse(body, status=status, headers=headers)
