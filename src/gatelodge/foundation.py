"""The services below the routes, built in one visible list: settings, stores, services, gate."""

import asyncio
import contextlib
import copy
from collections.abc import AsyncIterator
from datetime import timedelta
from functools import cached_property
from typing import Any, Self
from urllib.parse import urlsplit

from gatelodge.accounts.kept import KeptAddresses
from gatelodge.accounts.pending import PendingSignUps
from gatelodge.accounts.roles import RoleService
from gatelodge.accounts.service import AccountService
from gatelodge.admin.retention import EventRetention
from gatelodge.audit import AuditLog
from gatelodge.breached.lookup import BreachedPasswords
from gatelodge.clock import Clock, SystemClock
from gatelodge.credentials.attempts import AttemptGuard, AttemptLimits
from gatelodge.credentials.ceremonies import PasskeyCeremonies
from gatelodge.credentials.hashing_pool import HashingPool
from gatelodge.credentials.own_proof import OwnProofCheck
from gatelodge.credentials.passkeys import RelyingParty
from gatelodge.credentials.passwords import PasswordHasher
from gatelodge.credentials.second_factor_policy import SecondFactorPolicy
from gatelodge.credentials.second_factors import SecondFactors
from gatelodge.credentials.service import Passwords
from gatelodge.data_folder import SECRET_KEY
from gatelodge.errors import ConfigurationError, StoreUnavailable
from gatelodge.gate.gate import Gate
from gatelodge.gate.watchers import Watchers
from gatelodge.letters.post import Post
from gatelodge.letters.posts import post_of
from gatelodge.letters.service import Author, LetterService
from gatelodge.letters.writing import Writing
from gatelodge.master_key import MasterKey
from gatelodge.proofs import invitations as invitations_of
from gatelodge.proofs import notices as notices_of
from gatelodge.proofs import reset
from gatelodge.proofs import verification as verification_of
from gatelodge.proofs.codes import LetterProofs
from gatelodge.proofs.invitations import Invitations
from gatelodge.proofs.notices import Notices
from gatelodge.proofs.reset import PasswordReset
from gatelodge.proofs.verification import AddressVerification
from gatelodge.sessions.known_devices import KnownDevices
from gatelodge.sessions.lookup import SessionLookup
from gatelodge.sessions.refresh_tokens import RefreshTokens
from gatelodge.sessions.service import SessionLimits, SessionService
from gatelodge.sessions.tutorial import TutorialRefresh
from gatelodge.settings import Settings
from gatelodge.setup.service import SetupService
from gatelodge.sign_in import by_code
from gatelodge.sign_in.by_code import CodeSignIn
from gatelodge.sign_in.by_passkey import PasskeySignIn
from gatelodge.sign_in.challenges import Challenges
from gatelodge.sign_in.opening import Opening
from gatelodge.sign_in.passkey_sign_up import PasskeySignUp
from gatelodge.sign_in.service import SignInService
from gatelodge.stores import Stores, open_stores
from gatelodge.subscriptions.service import Handler, SubscriptionService
from gatelodge.subscriptions.webhooks import WebhookService
from gatelodge.tallies import ADDED_EVERY, TallyService
from gatelodge.tasks import attempt, end, repeat, start
from gatelodge.tokens.access import AccessTokens
from gatelodge.tokens.claims import AUDIENCE
from gatelodge.tokens.keys import KEY_PREFIX, SigningKeys

SWEEP_EVERY = timedelta(hours=1)
"""How often records that are not needed any more are deleted."""

_LAST_TALLIES_SECONDS = 2.0


class Foundation:
    """The services that need no routes, connected to each other; commands work with them alone.

    Each service is named once, in the property that makes it. `made` makes all of them. Nothing is
    opened before `open` or `serve`.

    Attributes:
        settings: the settings, as read from the environment.
        clock: tells the current time.
        home: the address of the start page of the application that the house is part of; None: the
            house is a server of its own.
        sends: whether it sends letters while it serves; otherwise they wait for another house.
    """

    def __init__(
        self,
        settings: Settings,
        clock: Clock | None = None,
        *,
        make_key: bool = True,
        home: str | None = None,
        sends: bool = True,
    ) -> None:
        """Remember what everything else is made of.

        Args:
            settings: what the operator decided.
            clock: what time it is; by default the machine's.
            make_key: whether a secret key file is made where there is none.
            home: see the attributes.
            sends: see the attributes.
        """
        self.settings = settings
        self.clock = clock or SystemClock()
        self.home = home
        self.sends = sends
        self._make_key = make_key

    # The master key, the database and the audit log

    @cached_property
    def master_key(self) -> MasterKey:
        """The key that other keys are derived from."""
        return read_master_key(self.settings, make=self._make_key)

    @cached_property
    def stores(self) -> Stores:
        """All ports, for the one database."""
        return open_stores(self.settings.database_address)

    @cached_property
    def audit(self) -> AuditLog:
        """The audit log."""
        return AuditLog(self.stores.events, self.clock)

    @cached_property
    def tallies(self) -> TallyService:
        """How often events happen."""
        return TallyService(self.stores.tallies, self.audit.tally, self.clock)

    # credentials/

    @cached_property
    def hashing_pool(self) -> HashingPool:
        """The threads that hash passwords."""
        return HashingPool(self.settings.hash_threads_per_worker, self.settings.hash_queue)

    @cached_property
    def attempts(self) -> AttemptGuard:
        """The limits on failed tries."""
        limits = AttemptLimits.of(
            account=self.settings.sign_in_tries_per_account,
            address=self.settings.sign_in_tries_per_address,
            everybody=self.settings.sign_in_tries_in_all,
            sign_ups=self.settings.sign_ups_per_address,
        )
        key = self.master_key.derive("log-names")
        return AttemptGuard(self.stores.attempts, self.audit, self.clock, limits, key)

    @cached_property
    def passwords(self) -> Passwords:
        """The password rules and password hashing."""
        return Passwords(
            PasswordHasher(self.settings.hash_memory, self.settings.hash_passes),
            self.hashing_pool,
            self.attempts,
            self.settings.password_minimum,
            BreachedPasswords(self.settings.breached_file),
            (self.settings.site_name, urlsplit(self.settings.public_origin).hostname or ""),
        )

    # tokens/

    @cached_property
    def signing_keys(self) -> SigningKeys:
        """The keys that sign access tokens."""
        return SigningKeys(
            self.stores.signing_keys,
            self.master_key,
            self.audit,
            self.clock,
            self.settings.access_token_life,
            self.settings.signing_key_life,
        )

    @cached_property
    def access_tokens(self) -> AccessTokens:
        """Issues and verifies access tokens."""
        life, issuer = self.settings.access_token_life, self.settings.public_base
        return AccessTokens(self.signing_keys, self.clock, issuer, AUDIENCE, life)

    # accounts/, gate/, sessions/

    @cached_property
    def accounts(self) -> AccountService:
        """Users and their roles."""
        stores, guard = self.stores, self.attempts
        return AccountService(
            stores.users,
            stores.roles,
            self.passwords,
            guard,
            self.audit,
            self.clock,
            PendingSignUps(stores.one_time_tokens, self.clock),
            KeptAddresses(stores.one_time_tokens, stores.users, self.clock),
            self.own_proof,
            hides_emails=self.settings.hides_known_emails,
            sign_up_open=self.settings.sign_up == "open",
            username_change=self.settings.username_change == "on",
            farewell=self.notices.ask_deleted,
        )

    @cached_property
    def own_proof(self) -> OwnProofCheck:
        """Says whether a user has shown who asks for a change."""
        return OwnProofCheck(self.passwords, self.attempts, self.audit, self.clock)

    @cached_property
    def roles(self) -> RoleService:
        """Roles, and what they permit."""
        return RoleService(self.stores.roles, self.stores.users, self.audit)

    @cached_property
    def sessions(self) -> SessionService:
        """Opens, refreshes and ends sessions."""
        settings = self.settings
        return SessionService(
            self.stores.sessions,
            self.stores.users,
            RefreshTokens(self.master_key.derive("refresh-tokens")),
            self.access_tokens,
            self.audit,
            self.clock,
            SessionLimits(
                settings.session_life,
                settings.session_idle,
                settings.refresh_grace,
                self.stores.database.clock_skew,
            ),
            self.second_factor_policy,
        )

    @cached_property
    def lookup(self) -> SessionLookup:
        """What the gate asks when its memory has no answer."""
        return SessionLookup(
            self.stores.sessions,
            self.clock,
            self.second_factor_policy,
            with_profile=self.home is not None,
        )

    @cached_property
    def gate(self) -> Gate:
        """Answers who makes a request, and whether they may make it."""
        return Gate(self.access_tokens, self.lookup, self.stores.feed, self.clock)

    @cached_property
    def watchers(self) -> Watchers:
        """Those who wait for a change of a user, such as open WebSockets."""
        return Watchers(self.stores.feed)

    # subscriptions/

    @cached_property
    def subscriptions(self) -> SubscriptionService:
        """Tells functions of an application what has happened."""
        return SubscriptionService(self.stores.subscriptions, self.audit, self.clock)

    @cached_property
    def webhooks(self) -> WebhookService:
        """Tells applications beside the server what has happened."""
        return WebhookService(self.subscriptions, self.master_key, self.audit, self.clock)

    # letters/, proofs/

    @cached_property
    def post(self) -> Post | None:
        """Delivers letters; None: there is no mail. An application may have put its own here."""
        return post_of(self.settings)

    @cached_property
    def letters(self) -> LetterService:
        """Asks for letters, and sends them."""
        return LetterService(
            self.stores.letters,
            self.stores.one_time_tokens,
            self.master_key,
            self.audit,
            self.clock,
            self.post,
            Writing(self.settings),
            self.settings.sender,
            self.settings.mail_host,
        )

    @cached_property
    def letter_proofs(self) -> LetterProofs:
        """The links and codes in letters."""
        key = self.master_key.derive("letter-codes")
        return LetterProofs(self.stores.one_time_tokens, self.letters, key, self.clock)

    @cached_property
    def password_reset(self) -> PasswordReset:
        """New passwords for those who have forgotten theirs."""
        return PasswordReset(
            self.stores.users,
            self.passwords,
            self.attempts,
            self.letters,
            self.letter_proofs,
            self.audit,
            self.clock,
            self.settings.public_base,
        )

    @cached_property
    def verification(self) -> AddressVerification:
        """Verifies and changes e-mail addresses."""
        return AddressVerification(
            self.stores.users,
            self.accounts,
            self.passwords,
            self.attempts,
            self.own_proof,
            self.letters,
            self.letter_proofs,
            self.audit,
            self.clock,
            self.settings.public_base,
            self.settings.verification,
        )

    @cached_property
    def notices(self) -> Notices:
        """Tells users what has happened to their accounts."""
        return Notices(
            self.stores.users,
            self.sessions,
            self.letters,
            self.letter_proofs,
            self.audit,
            self.clock,
            self.settings.public_base,
            frozenset(self.settings.notices_off),
        )

    @cached_property
    def invitations(self) -> Invitations:
        """Invitations, and users who set their passwords themselves."""
        return Invitations(
            self.stores.users,
            self.accounts,
            self.letters,
            self.stores.one_time_tokens,
            self.letter_proofs,
            self.audit,
            self.clock,
            self.settings.public_base,
        )

    @cached_property
    def known_devices(self) -> KnownDevices:
        """Recognises the browsers of users."""
        return KnownDevices(self.master_key.derive("known-devices"))

    def notice_handlers(self) -> dict[str, Handler]:
        """Return what asks for the letters that events cause, by the names of the subscriptions."""
        return dict.fromkeys(self.notice_events(), self.notices.tell)

    def notice_events(self) -> dict[str, tuple[str, ...]]:
        """Return the events that cause letters, by the names of the subscriptions."""
        return {f"gatelodge.notices.{name}": (name,) for name in self.notices.events}

    def authors(self) -> dict[str, Author]:
        """Return who writes the letters, by their kinds."""
        verification = self.verification
        return {
            reset.LETTER: self.password_reset.write,
            reset.BREACHED: self.password_reset.write,
            reset.REQUIRED: self.password_reset.write,
            verification_of.VERIFY: verification.write,
            verification_of.CHANGE: verification.write_change,
            verification_of.SIGN_UP: verification.write_sign_up,
            verification_of.CHANGED: verification.write_changed,
            verification_of.REPLACED: verification.write_set,
            verification_of.SET: verification.write_set,
            invitations_of.INVITE: self.invitations.write,
            invitations_of.SET_PASSWORD: self.invitations.write_set_password,
            by_code.LETTER: self.code_sign_in.write,
            notices_of.DELETED: self.notices.write_deleted,
            notices_of.NEW_DEVICE: self.notices.write_new_device,
            **dict.fromkeys(notices_of.OF_EVENTS.values(), self.notices.write),
        }

    # sign_in/, setup/

    @cached_property
    def second_factors(self) -> SecondFactors:
        """Checks codes of second factors."""
        return SecondFactors(
            self.stores.factors, self.attempts, self.audit, self.clock, self.master_key
        )

    @cached_property
    def challenges(self) -> Challenges:
        """The questions for second factors."""
        return Challenges(self.stores.one_time_tokens, self.stores.users, self.clock)

    @cached_property
    def opening(self) -> Opening:
        """Opens sessions, after the second factor where the user has one."""
        return Opening(
            self.sessions,
            self.challenges,
            self.second_factors,
            self.stores.factors,
            self.attempts,
            self.known_devices,
            self.notices,
            self.audit,
            self.clock,
            self.second_factor_policy,
            self.accounts,
            self.password_reset,
        )

    @cached_property
    def second_factor_policy(self) -> SecondFactorPolicy:
        """Who must have a second factor."""
        settings = self.settings
        return SecondFactorPolicy(
            settings.second_factor, frozenset(settings.second_factor_required_for)
        )

    @cached_property
    def ceremonies(self) -> PasskeyCeremonies:
        """Asks browsers for passkeys."""
        settings = self.settings
        origins = (settings.public_origin, *settings.passkey_origins)
        domain = settings.passkeys_for
        party = RelyingParty(domain, settings.site_name, origins) if domain else None
        return PasskeyCeremonies(
            party,
            self.stores.one_time_tokens,
            self.master_key.derive("passkey-challenges"),
            self.stores.factors,
            self.audit,
            self.clock,
        )

    @cached_property
    def passkey_sign_in(self) -> PasskeySignIn:
        """Signs users in by their passkeys."""
        return PasskeySignIn(
            self.stores.users, self.ceremonies, self.opening, self.verification, self.audit
        )

    @cached_property
    def passkey_sign_up(self) -> PasskeySignUp:
        """Signs users up with a passkey and no password."""
        return PasskeySignUp(
            self.accounts,
            self.ceremonies,
            self.opening,
            self.verification,
            self.clock,
            self.settings.sign_up_by_passkey == "on",
        )

    @cached_property
    def sign_in(self) -> SignInService:
        """Signs users in."""
        return SignInService(
            self.stores.users,
            self.accounts,
            self.passwords,
            self.sessions,
            self.audit,
            self.attempts,
            self.own_proof,
            self.clock,
            self.verification,
            self.known_devices,
            self.opening,
            self.password_reset,
            self.settings.breached_at_sign_in,
        )

    @cached_property
    def code_sign_in(self) -> CodeSignIn:
        """Signs users in by a code from a letter."""
        return CodeSignIn(
            self.stores.users,
            self.accounts,
            self.opening,
            self.attempts,
            self.letters,
            self.letter_proofs,
            self.known_devices,
            self.audit,
            self.settings.sign_in_by_code == "on",
        )

    @cached_property
    def tutorial(self) -> TutorialRefresh:
        """The refresh route of the tutorial."""
        return TutorialRefresh(self.sessions, keeps_token=self.settings.tutorial)

    @cached_property
    def setup(self) -> SetupService:
        """The setup link, which makes the first administrator."""
        return SetupService(self.stores.one_time_tokens, self.accounts, self.clock)

    # admin/

    @cached_property
    def event_retention(self) -> EventRetention:
        """How long events are kept, and what they say of users who are gone."""
        kept = self.settings.events_kept
        return EventRetention(self.stores.events, self.stores.users, self.audit, self.clock, kept)

    # All of them

    def services(self) -> dict[type, Any]:
        """Return every service by its type, as doors ask for them.

        Raises:
            ConfigurationError: the secret key or another setting cannot be used.
        """
        kinds = reversed(type(self).__mro__)
        properties = [each for kind in kinds for each in vars(kind).items()]
        names = [name for name, made in properties if isinstance(made, cached_property)]
        return {type(service): service for service in (getattr(self, name) for name in names)}

    def made(self) -> Self:
        """Make every service now, and return the house; see `services`."""
        self.services()
        return self

    def replaced(self, **services: object) -> Self:
        """Return a copy with these services replaced.

        Services that were already made keep the old services inside.
        """
        other = copy.copy(self)
        vars(other).update(services)
        return other

    @contextlib.asynccontextmanager
    async def open(self, *, patient: bool = False) -> AsyncIterator[Self]:
        """Open the stores and read the keys; close the stores when the context ends.

        Args:
            patient: whether to succeed even if the database cannot be reached. `keep_in_step`
                then reads the keys later.

        Raises:
            StoreUnavailable: the database cannot be reached, and `patient` is false.
        """
        await self.stores.database.start()
        try:
            try:
                await self.roles.seed()
                await self.signing_keys.ensure()
            except StoreUnavailable:
                if not patient:
                    raise
            yield self
        finally:
            try:
                await self._add_tallies()
            finally:
                await self.signing_keys.ring.close()
                await self.hashing_pool.close()
                await self.stores.database.stop()

    async def _add_tallies(self) -> None:
        """Add what was counted last, unless the database takes too long."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LAST_TALLIES_SECONDS):
                await attempt(self.tallies.add)

    @contextlib.asynccontextmanager
    async def serve(self) -> AsyncIterator[Self]:
        """Open the house, and run the server's background tasks until the context ends."""
        async with self.open(patient=True), self._follow_changes(), self._telling():
            chores = [
                asyncio.create_task(self.signing_keys.keep_in_step()),
                asyncio.create_task(repeat(self.sessions.sweep, SWEEP_EVERY)),
                asyncio.create_task(repeat(self.attempts.sweep, SWEEP_EVERY)),
                asyncio.create_task(repeat(self.subscriptions.sweep, SWEEP_EVERY)),
                asyncio.create_task(repeat(self.letters.sweep, SWEEP_EVERY)),
                asyncio.create_task(repeat(self.event_retention.sweep, SWEEP_EVERY)),
                asyncio.create_task(repeat(self.tallies.sweep, SWEEP_EVERY)),
                asyncio.create_task(repeat(self.tallies.add, ADDED_EVERY)),
            ]
            try:
                yield self
            finally:
                await end(*chores)

    @contextlib.asynccontextmanager
    async def _telling(self) -> AsyncIterator[None]:
        """Send webhooks and letters, until the context ends."""
        self.letters.authors.update(self.authors())
        async with self.webhooks.sending():
            if not self.sends:
                yield
                return
            told = self.subscriptions.telling(
                self.notice_handlers(), self.notice_events(), waits=False
            )
            async with self.letters.sending(), told:
                yield

    @contextlib.asynccontextmanager
    async def _follow_changes(self) -> AsyncIterator[None]:
        """Pass changes from the feed to the gate and the signing keys, until the context ends."""

        def forget(changed: str | None) -> None:
            self.gate.memory.forget(changed)
            self.watchers.notify(changed)
            if changed is None or changed.startswith(f"{KEY_PREFIX}_"):
                self.signing_keys.ring.invalidate()
                reloading.append(start(self.signing_keys.ring.refresh))
                reloading[:] = [task for task in reloading if not task.done()]

        reloading: list[asyncio.Task[None]] = []
        await self.stores.feed.follow(forget)
        try:
            yield
        finally:
            await self.watchers.close()
            await self.stores.feed.leave()
            await end(*reloading)


def read_master_key(settings: Settings, *, make: bool = True) -> MasterKey:
    """Return the key that the settings hold or name; by default a file beside the data.

    Raises:
        ConfigurationError: it is unfit, others may read it, or there is none and `make` is False.
    """
    if settings.secret_key is not None:
        return MasterKey.from_text(settings.secret_key.get_secret_value())
    named = settings.secret_key_file
    file = named or settings.data_dir / SECRET_KEY
    if (named or not make) and not file.exists():  # a misspelt name must not make a new key
        raise ConfigurationError(f"The secret key file {file} does not exist.")
    return MasterKey.from_file(file)
