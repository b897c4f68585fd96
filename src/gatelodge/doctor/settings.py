"""Checks on the settings alone."""

from collections.abc import Iterator, Mapping
from datetime import timedelta
from ipaddress import ip_network
from urllib.parse import parse_qs, urlsplit

from gatelodge.breached.lookup import BreachedFile
from gatelodge.doctor.findings import Finding
from gatelodge.domains import is_public_suffix, label_of, site_of
from gatelodge.errors import ConfigurationError
from gatelodge.hosts import is_loopback
from gatelodge.settings import Settings, warn_of_unknown

KEPT_MINIMUM = timedelta(days=30)
"""How long events should be kept at least: break-ins are often noticed after weeks."""

NIST_MINIMUM = 15
"""The least length where a password is the only factor (NIST SP 800-63B-4, 3.1.1.2)."""

MOST_NAMES = 5
"""How many names of sites browsers look at (WebAuthn Level 3, section 5.11.1)."""

_WIDEST_GLOBAL = {4: 16, 6: 48}
"""The shortest prefix of a public network that may hold nothing but proxies."""


def check_public_address(settings: Settings) -> Iterator[Finding]:
    """Other machines reach the server by a name that it must know."""
    if settings.public_url:
        return
    if settings.trusted_proxies:
        yield Finding(
            "warning" if settings.allowed_hosts else "error",
            "public_address_missing",
            "GATELODGE_TRUSTED_PROXIES names a proxy, but GATELODGE_PUBLIC_URL is not set: tokens "
            f"and links name {settings.public_base}, and hosts that are not allowed get 421.",
            "Set GATELODGE_PUBLIC_URL to the address that people type, such as "
            "https://id.example.com.",
        )
    elif not is_loopback(settings.host):
        yield Finding(
            "warning",
            "public_address_missing",
            f"The server listens on {settings.host}, but GATELODGE_PUBLIC_URL is not set: requests "
            "for other names than localhost get 421.",
            "Set GATELODGE_PUBLIC_URL to the address that people type.",
        )


def check_tls(settings: Settings) -> Iterator[Finding]:
    """Passwords and tokens of other machines must not travel in the clear."""
    if settings.secure or is_loopback(settings.public_host):
        return
    yield Finding(
        "warning",
        "no_tls",
        f"People reach {settings.public_origin} without TLS: everybody on the way can read their "
        "passwords and tokens.",
        "Put a proxy with TLS in front, and set GATELODGE_PUBLIC_URL to https://….",
    )


def check_hsts(settings: Settings) -> Iterator[Finding]:
    """Without the header, the first request of a visit may go over HTTP."""
    if settings.secure and settings.hsts == "off":
        yield Finding(
            "note",
            "hsts_off",
            "GATELODGE_HSTS is off: browsers may ask over HTTP first, where somebody on the way "
            "can answer.",
            "Set GATELODGE_HSTS=host, unless the proxy sends Strict-Transport-Security.",
        )


def check_proxies(settings: Settings) -> Iterator[Finding]:
    """Behind TLS there is a proxy; without its name all requests seem to come from it."""
    if settings.secure and not settings.trusted_proxies:
        yield Finding(
            "warning",
            "proxies_missing",
            "The public address has TLS, so there is a proxy in front, but "
            "GATELODGE_TRUSTED_PROXIES names none: all visitors seem to have the proxy's address, "
            "and share its failed tries.",
            "Name the proxy's address in GATELODGE_TRUSTED_PROXIES, and let it add to "
            "X-Forwarded-For.",
        )


def check_width_of_proxies(settings: Settings) -> Iterator[Finding]:
    """Whoever has a trusted address may claim any other address."""
    for written in settings.trusted_proxies:
        network = ip_network(written)
        if network.prefixlen == 0:
            yield Finding(
                "error",
                "proxies_everybody",
                f"GATELODGE_TRUSTED_PROXIES trusts everybody ({written}): each client can choose "
                "the address that is logged and counted.",
                "Name only the addresses of your proxies.",
            )
        elif network.is_global and network.prefixlen < _WIDEST_GLOBAL[network.version]:
            yield Finding(
                "warning",
                "proxies_wide",
                f"GATELODGE_TRUSTED_PROXIES trusts the public network {written}, in which others "
                "than your proxies may have addresses.",
                "Name only the addresses of your proxies.",
            )


def check_hosts(settings: Settings) -> Iterator[Finding]:
    """The Host header decides which origin a form may come from."""
    if "*" in settings.allowed_hosts:
        yield Finding(
            "warning",
            "hosts_any",
            "GATELODGE_ALLOWED_HOSTS is `*`: the server answers for every name, also for those "
            "that somebody else points at it.",
            "Name the hosts.",
        )


def check_cookie_domain(settings: Settings) -> Iterator[Finding]:
    """Browsers take no cookie for a domain below which everybody can have a host."""
    domain = settings.cookie_domain
    if domain and is_public_suffix(domain):
        yield Finding(
            "error",
            "cookie_domain_public",
            f"GATELODGE_COOKIE_DOMAIN: {domain} is a public suffix, below which everybody can have "
            "a host. Browsers drop cookies for it, so nobody stays signed in.",
            "Leave it out, or name a domain that is yours, below that suffix.",
        )


def check_origins(settings: Settings) -> Iterator[Finding]:
    """Pages of another site get no cookies with `lax` and `strict`."""
    if settings.cookie_same_site == "none" or not settings.cors_origins:
        return
    own = site_of(settings.public_origin)
    for origin in settings.cors_origins:
        if site_of(origin) != own:
            yield Finding(
                "warning",
                "cookies_stay_behind",
                f"Cookies will not travel with requests from {origin}, which is another site.",
                "GATELODGE_COOKIE_SAME_SITE=none (and TLS) lets them.",
            )


def check_plain_origins(settings: Settings) -> Iterator[Finding]:
    """A page without TLS can be changed on its way."""
    for origin in settings.cors_origins:
        host = urlsplit(origin).hostname or ""
        if settings.secure and origin.startswith("http://") and not is_loopback(host):
            yield Finding(
                "warning",
                "origin_without_tls",
                f"GATELODGE_CORS_ORIGINS: somebody on the way can change the pages of {origin}, "
                "and act with the cookies of their visitors.",
                "Serve that origin over TLS, and name it with https://.",
            )


def check_same_site_none(settings: Settings) -> Iterator[Finding]:
    """Cookies that every site's requests carry need a reason."""
    if settings.cookie_same_site == "none" and not settings.cors_origins:
        yield Finding(
            "warning",
            "same_site_none",
            "GATELODGE_COOKIE_SAME_SITE is none, but GATELODGE_CORS_ORIGINS names no origin that "
            "would need it.",
            "Leave it out.",
        )


def check_passkeys(settings: Settings) -> Iterator[Finding]:
    """Pages at another domain use passkeys by a document that browsers ask for."""
    domain = settings.passkeys_for
    if not domain:
        yield Finding(
            "note",
            "passkeys_off",
            f"There are no passkeys: {settings.public_host} is an IP address.",
            "Give the server a name, and set GATELODGE_PUBLIC_URL to it.",
        )
    hosts = [urlsplit(each).hostname or "" for each in settings.passkey_origins]
    related = [host for host in hosts if host and not f".{host}".endswith(f".{domain}")]
    if related and domain != settings.public_host:
        yield Finding(
            "note",
            "passkey_document_elsewhere",
            f"Pages on {related[0]} can use passkeys only where https://{domain}/.well-known/"
            "webauthn names them, and this server is not there.",
            f"Let {domain} hand requests for that path on to this server, and name it in "
            "GATELODGE_ALLOWED_HOSTS.",
        )
    if len(related) < MOST_NAMES:
        return
    names = {label_of(host) for host in (settings.public_host, *related)}
    if len(names) > MOST_NAMES:
        yield Finding(
            "warning",
            "passkey_origins_many",
            f"GATELODGE_PASSKEY_ORIGINS brings {len(names)} names of sites together. Browsers look "
            f"at {MOST_NAMES}, and refuse passkeys on the others.",
            f"Name origins of {MOST_NAMES} sites at most; `example.com` and `example.de` are one.",
        )


def check_profile(settings: Settings) -> Iterator[Finding]:
    """The tutorial profile is for clients that cannot change."""
    if settings.tutorial and not is_loopback(settings.public_host):
        yield Finding(
            "warning",
            "tutorial_in_public",
            f"The tutorial profile is on at {settings.public_origin}: access tokens live a day, "
            "refresh tokens are not replaced, and pages on localhost may use cookies.",
            "Turn it off when all clients can refresh (GATELODGE_PROFILE=standard).",
        )


def check_way_to_mongodb(settings: Settings) -> Iterator[Finding]:
    """What MongoDB is told holds password hashes."""
    parts = urlsplit(settings.database)
    if parts.scheme != "mongodb":  # `mongodb+srv` has TLS
        return
    options = {name.lower(): values[-1] for name, values in parse_qs(parts.query).items()}
    hosts = [each.rpartition(":")[0] or each for each in parts.netloc.rpartition("@")[2].split(",")]
    remote = [host for host in hosts if not is_loopback(host) and not host.startswith("%2F")]
    if remote and "true" not in {options.get("tls"), options.get("ssl")}:
        yield Finding(
            "warning",
            "mongodb_without_tls",
            f"The connection to MongoDB at {', '.join(remote)} has no TLS.",
            "Add tls=true to GATELODGE_DATABASE, unless the network is your own.",
        )


def check_letters(settings: Settings) -> Iterator[Finding]:
    """Without letters, nobody gets a new password without an operator."""
    if settings.post == "none":
        yield Finding(
            "note",
            "no_letters",
            "No mail server is set: users get no letters, and nobody who has forgotten a password "
            "gets a new one without an operator.",
            "Set GATELODGE_SMTP_URL.",
        )
    elif settings.post == "smtp" and settings.sender.rstrip(">").endswith("@localhost"):
        yield Finding(
            "warning",
            "sender_local",
            f"Letters come from {settings.sender}, which mail servers of others refuse.",
            "Set GATELODGE_MAIL_FROM, or GATELODGE_PUBLIC_URL, unless the mail server keeps all "
            "letters for itself.",
        )


def check_password_minimum(settings: Settings) -> Iterator[Finding]:
    """Whoever has no second factor has nothing but the password."""
    if settings.password_minimum < NIST_MINIMUM and settings.second_factor != "required":
        yield Finding(
            "warning",
            "passwords_short",
            f"New passwords may have {settings.password_minimum} characters. NIST SP 800-63B-4 "
            f"asks for {NIST_MINIMUM} where a password is the only factor, as for whoever has no "
            "second one.",
            f"Set GATELODGE_PASSWORD_MINIMUM={NIST_MINIMUM}. Passwords that exist stay valid.",
        )


def check_second_factors(settings: Settings) -> Iterator[Finding]:
    """Nobody must have what nobody may add."""
    if settings.second_factor == "off" and settings.second_factor_required_for:
        yield Finding(
            "warning",
            "second_factors_off",
            "GATELODGE_SECOND_FACTOR is off, so nobody has to have a second factor, whatever "
            "GATELODGE_SECOND_FACTOR_REQUIRED_FOR says.",
            "Set GATELODGE_SECOND_FACTOR=offered, or leave both out.",
        )


def check_events(settings: Settings) -> Iterator[Finding]:
    """What was deleted tells nobody how somebody came in."""
    if settings.events_kept < KEPT_MINIMUM:
        yield Finding(
            "note",
            "events_short",
            f"Events are kept for {settings.events_kept.days} days. A break-in that is noticed "
            "later cannot be traced in the database.",
            f"Set GATELODGE_EVENTS_KEPT={KEPT_MINIMUM.days}d or more, or keep the log for longer.",
        )


def check_breached_passwords(settings: Settings) -> Iterator[Finding]:
    """ASVS 6.2.12 asks for it."""
    try:
        BreachedFile(settings.breached_file)
    except FileNotFoundError:
        yield Finding(
            "note",
            "no_breached_passwords",
            "New passwords are compared with the most common ones, but with no list of breached "
            f"ones: there is no file {settings.breached_file}.",
            "Import one: gatelodge passwords import FILE.",
        )
    except ConfigurationError as error:
        yield Finding(
            "error",
            "breached_passwords_unusable",
            str(error),
            "Until then, new passwords are compared with the most common ones only.",
        )


def check_variables(environment: Mapping[str, str]) -> Iterator[Finding]:
    """A misspelt variable is ignored."""
    warning = warn_of_unknown(environment)
    if warning is not None:
        yield Finding("warning", "variables_unknown", warning, "Correct the names, or remove them.")


CHECKS = (
    check_public_address,
    check_tls,
    check_hsts,
    check_proxies,
    check_width_of_proxies,
    check_hosts,
    check_cookie_domain,
    check_passkeys,
    check_origins,
    check_plain_origins,
    check_same_site_none,
    check_profile,
    check_way_to_mongodb,
    check_letters,
    check_password_minimum,
    check_second_factors,
    check_events,
    check_breached_passwords,
)
