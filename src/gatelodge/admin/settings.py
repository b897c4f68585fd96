"""The settings in force, with where each comes from. Secrets stay secret."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from pydantic import SecretStr

from gatelodge.data_folder import SECRET_KEY
from gatelodge.settings import PREFIX, Settings, Source
from gatelodge.smtp_address import read_smtp_address
from gatelodge.verdicts import written

Origin: TypeAlias = Source | Literal["file"]
"""Where a value comes from; `file`: a file that another setting names, or in the data folder."""


@dataclass(frozen=True, slots=True)
class SeenSetting:
    """A setting, as an administrator sees it.

    Attributes:
        name: the name of its environment variable.
        value: what is in force, as one would write it; None: nothing, or it is hidden.
        hidden: whether there is a value that is not shown, because it is a secret.
        origin: where it comes from.
        default: the default, as one would write it; None: there is none.
    """

    name: str
    value: str | None
    hidden: bool
    origin: Origin
    default: str | None


@dataclass(frozen=True, slots=True)
class SettingsAdministration:
    """Shows administrators the settings in force."""

    settings: Settings

    def list_settings(self) -> list[SeenSetting]:
        """Return every setting, in the order of `Settings`."""
        return [self._seen(field) for field in Settings.model_fields]

    def _seen(self, field: str) -> SeenSetting:
        settings = self.settings
        given = getattr(settings, field)
        origin: Origin = settings.source_of(field)
        if field in _FROM_FILES and origin == "default" and _FROM_FILES[field](settings):
            origin = "file"
        default = _as_written(Settings.model_fields[field].default)
        if isinstance(given, SecretStr) or field in _FROM_FILES:
            secret = given.get_secret_value() if isinstance(given, SecretStr) else ""
            shown = _SHOWN_OF_SECRETS.get(field, _nothing)(secret)
            hidden = shown is None and (bool(secret) or origin == "file")
            return SeenSetting(_name(field), shown, hidden, origin, None)
        in_force = _IN_FORCE[field](settings) if field in _IN_FORCE else given
        return SeenSetting(_name(field), _as_written(in_force), False, origin, default)


def _name(field: str) -> str:
    return f"{PREFIX}{field.upper()}"


def _as_written(value: object) -> str | None:
    """Return a value as one would write it into the environment; None for none."""
    if isinstance(value, SecretStr):
        return None
    if isinstance(value, tuple):
        value = ", ".join(map(str, value))
    return None if value in {None, ""} else written(value)


def _nothing(_secret: str) -> None:
    """Return nothing: the secret is not shown at all."""


def _mail_server(secret: str) -> str | None:
    """Return the address of a mail server without user name and password."""
    if not secret:
        return None
    address = read_smtp_address(secret)
    host = f"[{address.host}]" if ":" in address.host else address.host
    return f"{secret.partition(':')[0].lower()}://{host}:{address.port}"


def _key_file(settings: Settings) -> Path | None:
    if settings.secret_key is not None:
        return settings.secret_key_file
    return settings.secret_key_file or settings.data_dir / SECRET_KEY


_SHOWN_OF_SECRETS: Mapping[str, Callable[[str], str | None]] = {"smtp_url": _mail_server}
"""What is shown of secrets; of others nothing is."""

_FROM_FILES: Mapping[str, Callable[[Settings], bool]] = {
    "secret_key": lambda settings: settings.secret_key is None,
    "smtp_url": lambda settings: settings.smtp_url_file is not None,
}
"""Secrets that may be in a file instead, and whether they are."""

_IN_FORCE: Mapping[str, Callable[[Settings], object]] = {
    "database": lambda settings: settings.database_place,
    "secret_key_file": _key_file,
    "public_url": lambda settings: settings.public_base,
    "passkey_domain": lambda settings: settings.passkeys_for,
    "hash_threads": lambda settings: settings.hash_threads_per_worker,
    "email_verification": lambda settings: settings.verification,
    "hide_known_emails": lambda settings: "on" if settings.hides_known_emails else "off",
    "mail_from": lambda settings: settings.sender if settings.post != "none" else "",
}
"""What holds where a setting is left out, or must not be shown as it is."""
