"""The settings, as one frozen `Settings`. Every field has a line in `docs/settings.md`."""

import os
import re
from collections.abc import Iterator, Mapping
from datetime import timedelta
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    PrivateAttr,
    SecretStr,
    ValidationError,
    model_validator,
)
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from gatelodge import machine
from gatelodge.data_folder import BREACHED, DATABASE
from gatelodge.domains import is_public_suffix
from gatelodge.email_address import has_invisible, read_address, read_mailbox
from gatelodge.errors import ConfigurationError
from gatelodge.hosts import is_address, is_loopback
from gatelodge.smtp_address import read_smtp_address
from gatelodge.verdicts import nearest, sentence, subject_of, verdict_on, written

MIN_TOKEN = 16
_MAX_TOKEN_LIFE = timedelta(minutes=15)
USUAL_PORT = 8080
_HOW_TO_MAKE_ONE = 'Make one with: python -c "import secrets; print(secrets.token_urlsafe(32))"'

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_DEFAULT_PORTS = {"http": "80", "https": "443"}
_ORIGIN = re.compile(
    r"(?P<scheme>https?)://(?P<host>[a-z0-9._-]+|\[[0-9a-f:.]+\])(?::(?P<port>[1-9][0-9]{0,4}))?/?"
)
_APP_ORIGIN = re.compile(
    r"(?!(?:https?|wss?|ftp|file|data|blob|javascript|about|null):)"
    r"(?P<scheme>[a-z][a-z0-9+.-]*)://(?P<host>[a-z0-9._-]+)/?"
)
_ANDROID_APP = re.compile(r"android:apk-key-hash:[A-Za-z0-9_-]{43}")
_PLAIN_PATH = re.compile(r"(?:/[A-Za-z0-9._~-]+)*")
_DURATION = re.compile(r"(\d{1,9})\s*([smhd]?)")


def _duration(value: object) -> object:
    return read_duration(value) if isinstance(value, str) else value


def read_duration(text: str) -> timedelta:
    """Read a duration such as `600`, `600s`, `10m`, `2h` or `30d`; without a unit: seconds.

    Raises:
        ValueError: it is none.
    """
    match = _DURATION.fullmatch(text.strip())
    if match is None:
        raise ValueError("must be a number and s, m, h or d, such as 10m.")
    return timedelta(**{_UNITS[match[2] or "s"]: int(match[1])})


def _list(value: object) -> object:
    """Read a list whose items are separated by commas."""
    if not isinstance(value, str):
        return value
    return tuple(item.strip() for item in value.split(",") if item.strip())


def _web_origin(value: str) -> str:
    """Return the origin as browsers write it, without a default port (RFC 6454, section 6.2)."""
    match = _ORIGIN.fullmatch(value.lower())
    if match is None or int(match["port"] or 0) > 65535:
        raise ValueError("must be written as http://host, http://host:port or https://host.")
    scheme, host, port = match.groups()
    if host.startswith("["):
        try:
            host = f"[{ip_address(host[1:-1]).compressed}]"
        except ValueError:
            raise ValueError("must have an IPv6 address in the brackets.") from None
    is_default = port in {None, _DEFAULT_PORTS[scheme]}
    return f"{scheme}://{host}" if is_default else f"{scheme}://{host}:{port}"


def _page_origin(value: str) -> str:
    """Return the exact origin of web pages or of an app; `*` and `null` are refused."""
    return _app_origin(value) or _web_origin(value)


def _app_origin(value: str) -> str:
    """Return the origin of pages in an app, such as `capacitor://localhost`; else an empty text."""
    match = _APP_ORIGIN.fullmatch(value.lower())
    return f"{match['scheme']}://{match['host']}" if match else ""


def _passkey_origin(value: str) -> str:
    """Return the origin of pages, or of an Android app, that may ask for passkeys.

    It is as browsers write it in their answers. An Android app has the SHA-256 of the certificate
    that it is signed with in place of an origin.
    """
    if _ANDROID_APP.fullmatch(value):
        return value
    origin = _web_origin(value)
    if origin.startswith("http://") and not is_loopback(urlsplit(origin).hostname or ""):
        raise ValueError("must begin with https://, because browsers have no passkeys without TLS.")
    return origin


def _public_address(value: str) -> str:
    """Return an origin, with a path if there is one, without a slash at the end."""
    scheme, separator, rest = value.rstrip("/").partition("://")
    host, slash, path = rest.partition("/")
    path = f"{slash}{path}"
    if {".", ".."} & set(path.split("/")) or not _PLAIN_PATH.fullmatch(path):
        raise ValueError("must have a path without escapes, dots and empty parts, such as /auth.")
    return f"{_web_origin(f'{scheme}{separator}{host}')}{path}" if value else ""


def _network(value: str) -> str:
    try:
        ip_network(value)
    except ValueError:
        raise ValueError(
            "must be an address such as 10.0.0.7, or a network such as 10.0.0.0/8."
        ) from None
    return value


def _colour(value: str) -> str:
    digits = value.strip().lower()
    if not re.fullmatch(r"#(?:[0-9a-f]{3}|[0-9a-f]{6})", digits):
        raise ValueError("must be written as #rgb or #rrggbb.")
    return digits if len(digits) == 7 else "#" + "".join(2 * digit for digit in digits[1:])


def _start_of_names(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9_-]{1,40}", value):
        raise ValueError("must be 1 to 40 letters a to z, digits, hyphens and underscores.")
    return value


def _role(value: str) -> str:
    """Return the name of a role in lower case."""
    name = value.lower()
    if not re.fullmatch(r"[a-z][a-z0-9_-]{0,63}", name):
        raise ValueError("must be the name of a role, such as admin.")
    return name


def _folder(value: Path) -> Path:
    if os.path.lexists(value) and not os.path.isdir(value):  # noqa: PTH112 - it never raises
        raise ValueError("must be a folder, but there is a file of that name.")
    return value


def _secret_or_nothing(value: SecretStr) -> SecretStr:
    """Refuse a secret that is too short (security.md, section 12)."""
    if 0 < len(value.get_secret_value()) < MIN_TOKEN:
        raise ValueError(f"must have at least {MIN_TOKEN} characters. {_HOW_TO_MAKE_ONE}")
    return value


def _smtp_url(value: SecretStr) -> SecretStr:
    """Refuse an address of a mail server that is none; the verdict does not show it."""
    if text := value.get_secret_value():
        read_smtp_address(text)
    return value


def _mailbox(value: str) -> str:
    """Refuse a sender that is no address."""
    try:
        if value:
            read_mailbox(value)
    except ValueError:
        raise ValueError(
            "must be an e-mail address, such as no-reply@example.com, "
            "or a name and an address, such as Example <no-reply@example.com>."
        ) from None
    return value


def _trimmed(name: str, value: object) -> object:
    """Return a value without surrounding blanks and quotes; words in lower case.

    From a secret, only surrounding blanks and line feeds are removed.
    """
    if not isinstance(value, str):
        return value
    text = value.strip()
    if name in _SECRETS:
        return text
    if len(text) > 1 and text[0] == text[-1] and text[0] in "\"'":  # `docker --env-file` keeps them
        text = text[1:-1].strip()
    if name == "database":
        return _database(text)
    return text.lower() if name in _WORDS else text


def _database(text: str) -> str:
    """Return the address of a database with its scheme in lower case, or a path without `~`."""
    if scheme := _DATABASE_SCHEME.match(text):
        return scheme[0].lower() + text[scheme.end() :]
    return os.path.expanduser(text)  # noqa: PTH111 - it never raises


def _path(value: Path) -> Path:
    """Return a path without `~`: files with variables have no shell that replaces it."""
    return Path(os.path.expanduser(value))  # noqa: PTH111 - it never raises


def _host(value: str) -> str:
    """Return a host as it is compared: in lower case, without scheme, port and final dot."""
    text = value.lower().rstrip("/")
    text = text.partition("://")[2] or text
    if text == "*":
        return text
    try:
        name = urlsplit(f"//{text}").hostname if text.count(":") < 2 or "[" in text else text
        if "/" in text:
            name = None
        return f"[{ip_address(name or '').compressed}]" if name and ":" in name else _name(name)
    except ValueError:
        raise ValueError("must be a host, such as id.example.com, or * for any.") from None


def _name(name: str | None) -> str:
    plain = (name or "").removesuffix(".")
    if not re.fullmatch(r"[a-z0-9_-]+(?:\.[a-z0-9_-]+)*", plain):
        raise ValueError("no host")
    return plain


_DATABASE_SCHEME = re.compile(r"(?:mongodb(?:\+srv)?|sqlite)://", re.IGNORECASE)

_SECRETS = frozenset({"secret_key", "metrics_token", "smtp_url"})
_WORDS = frozenset(
    {
        "breached_at_sign_in",
        "cookie_same_site",
        "email_verification",
        "hide_known_emails",
        "cookie_domain",
        "delivery",
        "hsts",
        "language",
        "log_format",
        "log_level",
        "passkey_domain",
        "profile",
        "second_factor",
        "sign_in_by_code",
        "sign_up",
        "sign_up_by_passkey",
        "username_change",
    }
)

PREFIX = "GATELODGE_"
"""What the names of all settings begin with, as environment variables."""

# What Kubernetes makes for a service named `gatelodge`, or `gatelodge-…`
# (kubernetes.io, "Accessing the Service", environment variables).
_OF_KUBERNETES = re.compile(
    rf"{PREFIX}(?:[A-Z0-9_]+_)?"
    r"(?:SERVICE_HOST|SERVICE_PORT(?:_[A-Z0-9_]+)?|PORT_\d+_(?:TCP|UDP|SCTP)(?:_[A-Z]+)?)"
)
_OF_KUBERNETES_VALUE = re.compile(r"(?:tcp|udp|sctp)://")

_MAX_NAMED = 10
Hsts = Literal["off", "host", "subdomains"]
"""What browsers shall reach over TLS only, once they have seen this server: nothing, its host, or
also every host below it (RFC 6797)."""

FilePath = Annotated[Path, AfterValidator(_path)]
Duration = Annotated[timedelta, BeforeValidator(_duration)]
Hosts = Annotated[
    tuple[Annotated[str, AfterValidator(_host)], ...], NoDecode, BeforeValidator(_list)
]
Origins = Annotated[
    tuple[Annotated[str, AfterValidator(_page_origin)], ...], NoDecode, BeforeValidator(_list)
]
PasskeyOrigins = Annotated[
    tuple[Annotated[str, AfterValidator(_passkey_origin)], ...], NoDecode, BeforeValidator(_list)
]
Networks = Annotated[
    tuple[Annotated[str, AfterValidator(_network)], ...], NoDecode, BeforeValidator(_list)
]

Roles = Annotated[
    tuple[Annotated[str, AfterValidator(_role)], ...], NoDecode, BeforeValidator(_list)
]

Muted = Annotated[
    tuple[
        Literal[
            "account-deleted",
            "account-disabled",
            "account-enabled",
            "invitation-accepted",
            "new-device",
            "role-granted",
            "username-changed",
        ],
        ...,
    ],
    NoDecode,
    BeforeValidator(_list),
]
"""The letters that the operator does not want sent."""


Source = Literal["environment", "command_line", "argument", "profile", "default"]
"""Where a value comes from: an environment variable, an option of the command line, an argument of
a program, `GATELODGE_PROFILE`, or the default."""

TUTORIAL_ORIGINS = (
    "http://localhost:8081",
    "http://localhost:3000",
    "http://localhost:4200",
    "http://localhost:5173",
)
"""The origins of the tutorial's front ends."""


class _DoNotFitError(ValueError):
    """Settings do not fit together; `faults` are field names, and what is wrong with each."""

    def __init__(self, faults: list[tuple[str, str]]) -> None:
        super().__init__("the settings do not fit together")
        self.faults = faults


class Settings(BaseSettings):
    """The operator's settings, read from environment variables named `GATELODGE_…`."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, frozen=True, extra="ignore", env_ignore_empty=True
    )

    data_dir: Annotated[FilePath, AfterValidator(_folder)] = Path("gatelodge-data")
    database: str = Field(default="", repr=False)  # it may hold a password
    secret_key: SecretStr | None = None
    secret_key_file: FilePath | None = None

    host: str = "127.0.0.1"
    port: int = Field(default=USUAL_PORT, ge=0, le=65535)
    workers: int = Field(default=1, ge=1, le=256)
    public_url: Annotated[str, AfterValidator(_public_address)] = ""
    allowed_hosts: Hosts = ()

    access_token_life: Duration = Field(
        default=timedelta(minutes=10), ge=timedelta(seconds=1), le=timedelta(days=1)
    )
    delivery: Literal["bearer", "cookie"] = "bearer"
    cookie_name: Annotated[str, AfterValidator(_start_of_names)] = "gatelodge"
    cookie_domain: str = ""
    cookie_same_site: Literal["lax", "strict", "none"] = "lax"
    hsts: Hsts = "host"
    cors_origins: Origins = ()
    profile: Literal["standard", "tutorial"] = "standard"

    session_life: Duration = Field(
        default=timedelta(days=30), ge=timedelta(minutes=1), le=timedelta(days=30)
    )
    session_idle: Duration = Field(
        default=timedelta(days=14), ge=timedelta(minutes=1), le=timedelta(days=30)
    )
    refresh_grace: Duration = Field(
        default=timedelta(seconds=10), ge=timedelta(0), le=timedelta(seconds=60)
    )
    signing_key_life: Duration = Field(default=timedelta(days=90), ge=timedelta(days=1))
    events_kept: Duration = Field(
        default=timedelta(days=400), ge=timedelta(days=7), le=timedelta(days=3650)
    )

    sign_up: Literal["open", "closed"] = "open"
    sign_in_by_code: Literal["off", "on"] = "off"
    sign_up_by_passkey: Literal["off", "on"] = "off"
    username_change: Literal["off", "on"] = "off"
    passkey_domain: str = ""
    passkey_origins: PasskeyOrigins = ()
    password_minimum: int = Field(default=8, ge=8, le=64)
    breached_at_sign_in: Literal["off", "warn", "change"] = "warn"
    hash_threads: int = Field(default=0, ge=0, le=1024)
    hash_queue: int = Field(default=64, ge=1, le=64)
    hash_memory: int = Field(default=19456, ge=19456, le=262144)
    hash_passes: int = Field(default=2, ge=2, le=10)

    second_factor: Literal["off", "offered", "required"] = "offered"
    second_factor_required_for: Roles = ()

    sign_in_tries_per_account: int = Field(default=10, ge=0, le=100)
    sign_in_tries_per_address: int = Field(default=10, ge=0, le=1_000_000)
    sign_in_tries_in_all: int = Field(default=1000, ge=0, le=1_000_000)
    sign_ups_per_address: int = Field(default=20, ge=0, le=1_000_000)
    trusted_proxies: Networks = ()

    smtp_url: Annotated[SecretStr, AfterValidator(_smtp_url)] = SecretStr("")
    smtp_url_file: FilePath | None = None
    email_verification: Literal["", "off", "offered", "required"] = ""
    hide_known_emails: Literal["", "on", "off"] = ""
    notices_off: Muted = ()
    mail_from: Annotated[str, AfterValidator(_mailbox)] = ""

    site_name: str = Field(default="Gatelodge", min_length=1, max_length=40)
    logo: FilePath | None = None
    accent_color: Annotated[str, AfterValidator(_colour)] = "#0b6e4f"
    templates_dir: FilePath | None = None
    language: Literal["", "en", "de"] = ""

    metrics_token: Annotated[SecretStr, AfterValidator(_secret_or_nothing)] = SecretStr("")
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["auto", "json", "text"] = "auto"

    _told: dict[str, Source] = PrivateAttr(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _in_one_form(cls, given: dict[str, Any]) -> dict[str, Any]:
        """Trim all values; ignore the variable `GATELODGE_PORT` that Kubernetes sets itself."""
        kept = {name: _trimmed(name, value) for name, value in given.items()}
        if _OF_KUBERNETES_VALUE.match(str(kept.get("port", ""))):
            del kept["port"]
        if kept.get("profile") == "tutorial":  # half of its clients never refresh
            kept.setdefault("access_token_life", timedelta(days=1))
        return {name: value for name, value in kept.items() if value != ""}

    @model_validator(mode="after")
    def _fit_together(self) -> Self:
        """Refuse settings that cannot work together."""
        faults = [
            *self._faults_of_tokens(),
            *self._faults_of_cookies(),
            *self._faults_of_letters(),
            *self._faults_of_passkeys(),
            *self._faults_of_sign_up(),
        ]
        if faults:
            raise _DoNotFitError(faults)
        return self

    def _faults_of_tokens(self) -> Iterator[tuple[str, str]]:
        """Yield why access tokens may not live so long (security.md, section 3)."""
        if not self.tutorial and self.access_token_life > _MAX_TOKEN_LIFE:
            yield (
                "access_token_life",
                f"must be at most {written(_MAX_TOKEN_LIFE)}, but for GATELODGE_PROFILE=tutorial.",
            )

    def _faults_of_cookies(self) -> Iterator[tuple[str, str]]:
        """Yield why browsers would drop the cookies."""
        if self.cookie_same_site == "none" and not self.secure:
            verdict = "cannot be 'none' without TLS, because browsers drop such cookies."
            yield "cookie_same_site", f"{verdict} Set GATELODGE_PUBLIC_URL to https://…."
        host = urlsplit(self.public_origin).hostname or ""
        if self.cookie_domain and not _takes_cookies_for(self.cookie_domain, host):
            verdict = f"must be a parent of {host}, the host in GATELODGE_PUBLIC_URL, without a dot"
            yield "cookie_domain", f"{verdict} before it. Browsers drop cookies of other domains."

    def _faults_of_letters(self) -> Iterator[tuple[str, str]]:
        """Yield why letters would have no sender, or no mail server."""
        if self.smtp_url.get_secret_value() and self.smtp_url_file is not None:
            yield "smtp_url_file", "must not be set beside GATELODGE_SMTP_URL."
        if self.post == "none" and self.email_verification in {"offered", "required"}:
            yield "email_verification", "needs a mail server: set GATELODGE_SMTP_URL."
        if self.hide_known_emails == "on" and self.verification != "required":
            yield "hide_known_emails", "needs GATELODGE_EMAIL_VERIFICATION=required."
        if self.post == "none" and self.sign_in_by_code == "on":
            yield "sign_in_by_code", "needs a mail server: set GATELODGE_SMTP_URL."
        if self.post == "smtp" and not self.sender:
            verdict = f"must be set, because letters cannot come from {self.public_host}, the host"
            yield "mail_from", f"{verdict} in GATELODGE_PUBLIC_URL."

    def _faults_of_passkeys(self) -> Iterator[tuple[str, str]]:
        """Yield why browsers would make no passkey (WebAuthn Level 3, section 5.1.3)."""
        host, domain = self.public_host, self.passkey_domain
        if is_address(host.strip("[]")):
            for name in ("passkey_domain", "passkey_origins"):
                if getattr(self, name):
                    verdict = "cannot be set while GATELODGE_PUBLIC_URL has an IP address:"
                    yield name, f"{verdict} passkeys need a name."
        elif domain and domain != host:
            if "." not in domain or not host.endswith(f".{domain}"):
                verdict = f"must be {host}, the host in GATELODGE_PUBLIC_URL, or a parent of it"
                yield "passkey_domain", f"{verdict} without a dot before it, such as example.com."
            elif is_public_suffix(domain):
                verdict = "must not be a public suffix, below which everybody can have a host."
                yield "passkey_domain", verdict

    def _faults_of_sign_up(self) -> Iterator[tuple[str, str]]:
        """Yield why nobody could sign up with a passkey and no password."""
        if self.sign_up_by_passkey == "off":
            return
        name = "sign_up_by_passkey"
        if not self.passkeys_for:
            yield name, "needs a name, and no IP address, in GATELODGE_PUBLIC_URL."
        if self.second_factor == "off":
            yield name, "cannot be 'on' with GATELODGE_SECOND_FACTOR=off."
        if self.hides_known_emails:
            yield name, "needs GATELODGE_HIDE_KNOWN_EMAILS=off: it tells which addresses are taken."

    def source_of(self, field: str) -> Source:
        """Return where the value of a setting comes from.

        Args:
            field: the name of the field.
        """
        if field in self._told:
            return self._told[field]
        if field not in self.model_fields_set:
            return "default"
        variable = f"{PREFIX}{field.upper()}"
        if any(name.upper() == variable and value for name, value in os.environ.items()):
            return "environment"
        given_by_profile = field == "access_token_life" and self.tutorial
        return "profile" if given_by_profile else "argument"

    @property
    def passkeys_for(self) -> str:
        """The domain that passkeys are bound to; empty: there are none, for want of a name."""
        if is_address(self.public_host.strip("[]")):
            return ""
        return self.passkey_domain or self.public_host

    @property
    def verification(self) -> Literal["off", "offered", "required"]:
        """Whether new users verify their addresses; by default it is offered if there is mail."""
        return self.email_verification or ("off" if self.post == "none" else "offered")

    @property
    def hides_known_emails(self) -> bool:
        """Whether a sign-up tells nobody that an address has an account."""
        return self.verification == "required" and self.hide_known_emails != "off"

    @property
    def post(self) -> Literal["smtp", "folder", "none"]:
        """How letters are delivered: by a mail server, into files during development, or not."""
        if self.smtp_url.get_secret_value() or self.smtp_url_file is not None:
            return "smtp"
        return "folder" if is_loopback(self.public_host) else "none"

    @property
    def sender(self) -> str:
        """Whom letters are from; empty if nothing says it."""
        host = "localhost" if is_loopback(self.public_host) else self.public_host
        try:
            address = read_address(f"no-reply@{host}")
        except ValueError:
            return self.mail_from
        name = "".join(" " if has_invisible(each) else each for each in self.site_name)
        return self.mail_from or f"{' '.join(name.split())} <{address}>"

    @property
    def mail_host(self) -> str:
        """The name of this server in message ids and towards mail servers (RFC 5321, 4.1.3)."""
        host = self.public_host.strip("[]")
        if not is_address(host):
            return host
        return f"[IPv6:{host}]" if ":" in host else f"[{host}]"

    @property
    def database_address(self) -> str:
        """The address for `open_stores`: the setting, or the SQLite file in the data folder."""
        return self.database or str(self.data_dir / DATABASE)

    @property
    def is_file(self) -> bool:
        """Whether the database is an SQLite file."""
        return not self.database.startswith("mongodb")

    @property
    def database_file(self) -> str:
        """The path of the SQLite file."""
        return self.database_address.removeprefix("sqlite:///")

    @property
    def breached_file(self) -> Path:
        """The list of breached passwords, if `gatelodge passwords import` has made one."""
        return self.data_dir / BREACHED

    @property
    def database_place(self) -> str:
        """The address of the database for people, without user name and password."""
        if self.is_file:
            return self.database_address
        scheme, _, rest = self.database.partition("://")
        # `urlsplit` would end the host at `#`, which a password may contain as it is.
        return f"{scheme}://{rest.partition('?')[0].rpartition('@')[2]}"

    @property
    def public_base(self) -> str:
        """The address below which users reach this server; the `iss` of tokens."""
        return self.public_url or f"http://localhost:{self.port}"

    @property
    def public_path(self) -> str:
        """The path of the public address, such as `/auth`; usually empty."""
        return urlsplit(self.public_base).path

    @property
    def public_origin(self) -> str:
        """The scheme, host and port of the public address."""
        return self.public_base.removesuffix(self.public_path)

    @property
    def public_host(self) -> str:
        """The host in the public address, as it is compared."""
        return _host(self.public_origin)

    @property
    def cookie_port(self) -> int | None:
        """The port at the end of the cookies' names; None with TLS, or for the usual port."""
        port = urlsplit(self.public_origin).port
        return None if self.secure or port in {None, USUAL_PORT} else port

    @property
    def known_origins(self) -> tuple[str, ...]:
        """The other origins whose pages may call this server with credentials (CORS)."""
        return self.cors_origins + (TUTORIAL_ORIGINS if self.tutorial else ())

    @property
    def tutorial(self) -> bool:
        """Whether the tutorial profile is on."""
        return self.profile == "tutorial"

    @property
    def secure(self) -> bool:
        """Whether users reach this server over TLS."""
        return self.public_origin.startswith("https://")

    @property
    def hash_threads_per_worker(self) -> int:
        """The number of hashing threads of one worker; by default one core stays free."""
        return self.hash_threads or hash_threads_for(machine.read(), self.workers, self.hash_memory)


def hash_threads_for(here: machine.Machine, workers: int, hash_memory_kib: int) -> int:
    """Return how many threads hash passwords in one worker.

    One core is left for everything else. All hashes together take at most a quarter of the memory.

    Args:
        here: the cores and the memory of this machine.
        workers: the number of worker processes.
        hash_memory_kib: the memory of one hash, in KiB.
    """
    by_cores = (here.cores - 1) // workers
    if here.memory_bytes is None:
        return max(1, by_cores)
    by_memory = here.memory_bytes // 4 // (hash_memory_kib * 1024) // workers
    return max(1, min(by_cores, by_memory))


def _takes_cookies_for(domain: str, host: str) -> bool:
    """Return whether browsers accept cookies for the domain from the host (RFC 6265, 5.1.3)."""
    is_address = host.rpartition(".")[2].isdigit()
    return "." in domain and not is_address and f".{host}".endswith(f".{domain}")


def read_settings(options: Mapping[str, Any] | None = None, **overrides: Any) -> Settings:
    """Return the settings from the environment.

    Args:
        options: values of the command line, by field name; a value other than None replaces the
            environment's.
        overrides: the same for the arguments of a program.

    Raises:
        ConfigurationError: settings have values that are not allowed; the message has a line for
            each of them.
    """
    given = {name: value for name, value in overrides.items() if value is not None}
    names = {name: name for name in given}
    told: dict[str, Source] = dict.fromkeys(given, "argument")
    for name, value in (options or {}).items():
        if value is not None:
            given[name], names[name] = value, f"--{name.replace('_', '-')}"
            told[name] = "command_line"
    try:
        settings = Settings(**given)
    except ValidationError as error:
        raise ConfigurationError(_explain(error, names)) from None
    settings._told.update(told)  # noqa: SLF001 - nobody else can tell
    return settings


def warn_of_unknown(environment: Mapping[str, str]) -> str | None:
    """Return a warning that names the variables which look like settings but are none, or None.

    The variables that Kubernetes makes for a service of our name are left out. Values are not
    shown, because a value may be a secret.

    Args:
        environment: the environment variables of this process.
    """
    known = {name.upper() for name in Settings.model_fields}
    unknown = sorted(
        name
        for name, value in environment.items()
        if name.upper().startswith(PREFIX)
        and name.upper().removeprefix(PREFIX) not in known
        and not _OF_KUBERNETES.fullmatch(name.upper())
        and not (name.upper().endswith("_PORT") and _OF_KUBERNETES_VALUE.match(value))
    )
    if not unknown:
        return None
    shown = [f"{_printable(name)}{_nearest(name, known)}" for name in unknown[:_MAX_NAMED]]
    more = f" and {len(unknown) - _MAX_NAMED} more" if len(unknown) > _MAX_NAMED else ""
    are = "is no setting, and is" if len(unknown) == 1 else "are no settings, and are"
    return f"{', '.join(shown)}{more} {are} ignored."


def _nearest(name: str, known: set[str]) -> str:
    """Return a hint at the setting that was probably meant; empty if none is similar."""
    near = nearest(name.upper().removeprefix(PREFIX), known)
    return f" (is {PREFIX}{near} meant?)" if near else ""


def _printable(name: str) -> str:
    return ascii(name)[1:-1][:64]


def _explain(error: ValidationError, names: Mapping[str, str]) -> str:
    """Return what is wrong, a line for each fault, as the operator named the settings.

    Values are not shown, because a value may be a secret.

    Args:
        error: what Pydantic found.
        names: the names of the settings that are not from the environment, by field name.
    """
    lines = []
    for fault in error.errors(include_input=False, include_url=False):
        together = fault.get("ctx", {}).get("error")
        if isinstance(together, _DoNotFitError):
            lines += [
                f"{_as_written(field, names)} {verdict}" for field, verdict in together.faults
            ]
            continue
        field, *inside = fault["loc"]
        name = _as_written(str(field), names)
        if fault["type"] == "value_error":
            verdict = str(fault["ctx"]["error"])
        else:
            limits = _limits_of(str(field))
            verdict = verdict_on({**fault, "ctx": fault.get("ctx", {}) | limits})
            verdict += _accepted(limits)
        lines.append(sentence(subject_of(name, inside), verdict) if inside else f"{name} {verdict}")
    return "\n".join(lines)


def _as_written(field: str, names: Mapping[str, str]) -> str:
    """Return the name of a setting as the operator wrote it: an option, argument or variable."""
    if field in names:
        return names[field]
    usual = f"{PREFIX}{field.upper()}"
    return next((name for name in os.environ if name.upper() == usual), usual)


def _limits_of(field: str) -> dict[str, Any]:
    """Return the least and the greatest value of a setting, by the names that Pydantic uses."""
    return {
        name: getattr(each, name)
        for each in Settings.model_fields[field].metadata
        for name in ("ge", "le")
        if hasattr(each, name)
    }


def _accepted(limits: Mapping[str, Any]) -> str:
    """Return a sentence that names the range of a setting; empty if it has none."""
    if not limits:
        return ""
    to = f" to {written(limits['le'])}" if "le" in limits else " or more"
    return f" Accepted: {written(limits['ge'])}{to}."
