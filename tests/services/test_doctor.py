"""The doctor's checks: what each finds, and what it is silent about."""

import shutil
import subprocess
import sys
from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from gatelodge.accounts.store import Role
from gatelodge.doctor import database, machine
from gatelodge.doctor import settings as checks
from gatelodge.doctor.findings import Finding
from gatelodge.doctor.service import examine_machine, examine_settings
from gatelodge.domains import is_public_suffix, site_of
from gatelodge.machine import Machine
from gatelodge.master_key import MasterKey
from gatelodge.settings import Settings
from gatelodge.stores import DatabaseState, Stores, open_stores
from gatelodge.tokens.key_ring import SEAL_PURPOSE
from gatelodge.tokens.store import SigningKey
from tests.contracts.builders import a_factor, a_user, an_event
from tests.support.breached import import_text, line
from tests.support.clock import NOON

TLS = {"public_url": "https://id.example.com"}
SOUND = {
    **TLS,
    "trusted_proxies": ("10.0.0.7",),
    "password_minimum": 15,
    "smtp_url": SecretStr("smtp://mail.example.com"),
}
SECONDS = timedelta(seconds=1)
DAYS = timedelta(days=1)
MIB = 1 << 20
SECRET = MasterKey.from_text("Qm8ZrTx0aWfYbN5uLhJ7pGcE2sVo9Xi1BtRyKdPz")
OTHER_SECRET = MasterKey.from_text("Wn4LsVy2bXgZcM6vKiH8qFdD3rUp0Aj7CuStJePw")


def found(findings: Iterable[Finding]) -> list[tuple[str, str]]:
    """Return the level and the code of each finding; each has a message and a remedy."""
    kept = list(findings)
    assert all(each.message and each.remedy for each in kept)
    return [(each.level, each.code) for each in kept]


def test_sound_settings_get_one_note() -> None:
    """There is no list of breached passwords yet, whatever the settings are."""
    assert found(examine_settings(Settings(**SOUND), {})) == [("note", "no_breached_passwords")]


def test_the_list_of_breached_passwords_is_looked_at(tmp_path: Path) -> None:
    given = Settings(**SOUND, data_dir=tmp_path)
    import_text(line("iloveyou2025"), given.breached_file)
    assert found(examine_settings(given, {})) == []

    given.breached_file.write_bytes(b"")
    assert found(examine_settings(given, {})) == [("error", "breached_passwords_unusable")]


def test_the_list_of_suffixes_is_read_only_when_it_is_needed() -> None:
    """It is large, and every start runs these checks."""
    program = """
import sys
from gatelodge.doctor.service import examine_settings
from gatelodge.settings import Settings

examine_settings(Settings(public_url="https://id.example.com"), {})
examine_settings(Settings(cors_origins=("http://localhost:3000", "http://a.localhost")), {})
print("publicsuffixlist" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)

    assert done.stdout == b"False\n"


def test_the_worst_comes_first() -> None:
    given = Settings(**TLS, trusted_proxies=("0.0.0.0/0",), hsts="off")

    levels = [level for level, _ in found(examine_settings(given, {"GATELODGE_X": ""}))]

    assert levels == sorted(levels, key=["error", "warning", "note"].index)
    assert set(levels) == {"error", "warning", "note"}


@pytest.mark.parametrize(
    ("given", "level"),
    [
        ({}, None),
        ({"host": "localhost"}, None),
        ({"host": "[::1]"}, None),
        ({"host": "0.0.0.0"}, "warning"),
        ({"host": "::"}, "warning"),
        ({"host": "0.0.0.0"} | TLS, None),
        ({"trusted_proxies": ("10.0.0.7",)}, "error"),
        ({"trusted_proxies": ("10.0.0.7",), "allowed_hosts": ("id.example.com",)}, "warning"),
        ({"trusted_proxies": ("10.0.0.7",)} | TLS, None),
    ],
)
def test_the_public_address_is_missed_where_others_come(
    given: dict[str, object], level: str | None
) -> None:
    expected = [(level, "public_address_missing")] if level else []

    assert found(checks.check_public_address(Settings(**given))) == expected


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("", []),
        ("http://localhost:9000", []),
        ("http://127.0.0.1", []),
        ("http://[::1]:8080", []),
        ("http://app.localhost", []),
        ("https://id.example.com", []),
        ("http://id.example.com", [("warning", "no_tls")]),
        ("http://192.168.1.4:8080", [("warning", "no_tls")]),
    ],
)
def test_passwords_in_the_clear_are_warned_of(url: str, expected: list[tuple[str, str]]) -> None:
    assert found(checks.check_tls(Settings(public_url=url))) == expected


@pytest.mark.parametrize(("hsts", "count"), [("off", 1), ("host", 0), ("subdomains", 0)])
def test_hsts_that_is_off_is_told_where_there_is_tls(hsts: str, count: int) -> None:
    assert len(found(checks.check_hsts(Settings(**TLS, hsts=hsts)))) == count
    assert found(checks.check_hsts(Settings(hsts=hsts))) == []


def test_tls_means_that_a_proxy_must_be_named() -> None:
    assert found(checks.check_proxies(Settings(**TLS))) == [("warning", "proxies_missing")]
    assert found(checks.check_proxies(Settings(**SOUND))) == []
    assert found(checks.check_proxies(Settings())) == []


@pytest.mark.parametrize(
    ("network", "expected"),
    [
        ("10.0.0.7", []),
        ("10.0.0.0/8", []),
        ("fd00::/8", []),
        ("127.0.0.1", []),
        ("104.16.0.0/16", []),
        ("2606:4700::/48", []),
        ("104.16.0.0/13", [("warning", "proxies_wide")]),
        ("2606:4700::/32", [("warning", "proxies_wide")]),
        ("0.0.0.0/0", [("error", "proxies_everybody")]),
        ("::/0", [("error", "proxies_everybody")]),
    ],
)
def test_who_else_may_be_a_proxy(network: str, expected: list[tuple[str, str]]) -> None:
    given = Settings(**TLS, trusted_proxies=(network,))

    assert found(checks.check_width_of_proxies(given)) == expected


def test_a_server_for_every_host_is_warned_of() -> None:
    assert found(checks.check_hosts(Settings(allowed_hosts=("*",)))) == [("warning", "hosts_any")]
    assert found(checks.check_hosts(Settings(allowed_hosts=("a.example",)))) == []


@pytest.mark.parametrize(
    ("host", "domain", "public"),
    [
        ("id.acme.co.uk", "co.uk", True),
        ("id.github.io", "github.io", True),
        ("login.vercel.app", "vercel.app", True),
        ("a.b.kawasaki.jp", "b.kawasaki.jp", True),  # by a wildcard
        ("id.acme.co.uk", "acme.co.uk", False),
        ("id.city.kawasaki.jp", "city.kawasaki.jp", False),  # by an exception
        ("id.example.com", "example.com", False),
        ("login.id.example.com", "id.example.com", False),
        ("id.corp.internal", "corp.internal", False),
    ],
)
def test_a_cookie_domain_that_is_a_public_suffix_cannot_work(
    host: str, domain: str, public: bool
) -> None:
    given = Settings(public_url=f"https://{host}", cookie_domain=domain)

    expected = [("error", "cookie_domain_public")] if public else []
    assert found(checks.check_cookie_domain(given)) == expected
    assert is_public_suffix(domain.upper()) is public


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, []),
        ({"public_url": "http://192.0.2.7"}, [("note", "passkeys_off")]),
        (TLS | {"passkey_origins": ("https://shop.example.de", "android:apk-key-hash:x")}, []),
        (
            {
                "public_url": "https://id.example.com",
                "passkey_domain": "example.com",
                "passkey_origins": ("https://app.example.com", "https://example.com"),
            },
            [],
        ),
        (
            {
                "public_url": "https://id.example.com",
                "passkey_domain": "example.com",
                "passkey_origins": ("https://example.de",),
            },
            [("note", "passkey_document_elsewhere")],
        ),
        (
            {
                "public_url": "https://example.com",
                "passkey_origins": tuple(
                    f"https://example.{each}" for each in ("de", "fr", "co.uk")
                )
                + tuple(f"https://shop{each}.com" for each in range(4)),
            },
            [],
        ),
        (
            {
                "public_url": "https://example.com",
                "passkey_origins": tuple(f"https://shop{each}.com" for each in range(5)),
            },
            [("warning", "passkey_origins_many")],
        ),
    ],
)
def test_passkeys_at_other_domains_need_a_document_that_browsers_find(
    given: dict[str, Any], expected: list[tuple[str, str]]
) -> None:
    settings = Settings.model_construct(**Settings().model_dump() | given)
    assert found(checks.check_passkeys(settings)) == expected


def test_no_cookie_domain_is_no_public_suffix() -> None:
    assert found(checks.check_cookie_domain(Settings(**TLS))) == []


@pytest.mark.parametrize(
    ("own", "origin", "same"),
    [
        ("https://id.example.com", "https://app.example.com", True),
        ("https://id.example.com", "https://app.example.com:8443", True),
        ("https://id.example.com", "https://example.org", False),
        ("https://id.acme.co.uk", "https://app.other.co.uk", False),  # not one site: `co.uk`
        ("https://id.acme.co.uk", "https://app.acme.co.uk", True),
        ("https://id.example.com", "http://app.example.com", False),  # another scheme
        ("http://localhost:8080", "http://localhost:5173", True),
        ("http://localhost:8080", "http://127.0.0.1:5173", False),
        ("http://127.0.0.1:8080", "http://127.0.0.2:5173", False),
        ("http://[::1]:8080", "http://[::1]:5173", True),
        ("http://a.b.localhost", "http://c.b.localhost", True),
        ("https://id.example.com", "capacitor://localhost", False),
    ],
)
def test_cookies_travel_within_a_site_only(own: str, origin: str, same: bool) -> None:
    given = Settings(public_url=own, cors_origins=(origin,))

    assert (site_of(own) == site_of(origin)) is same
    expected = [] if same else [("warning", "cookies_stay_behind")]
    assert found(checks.check_origins(given)) == expected
    if given.secure:
        open_to_all = given.model_copy(update={"cookie_same_site": "none"})
        assert found(checks.check_origins(open_to_all)) == []


@pytest.mark.parametrize(
    ("origin", "count"),
    [("http://app.example.com", 1), ("https://app.example.com", 0), ("http://localhost:3000", 0)],
)
def test_pages_without_tls_that_may_use_cookies_are_warned_of(origin: str, count: int) -> None:
    assert len(found(checks.check_plain_origins(Settings(**TLS, cors_origins=(origin,))))) == count


def test_same_site_none_needs_a_reason() -> None:
    none = Settings(**TLS, cookie_same_site="none")
    assert found(checks.check_same_site_none(none)) == [("warning", "same_site_none")]
    used = Settings(**TLS, cookie_same_site="none", cors_origins=("https://a.example",))
    assert found(checks.check_same_site_none(used)) == []
    assert found(checks.check_same_site_none(Settings(**TLS))) == []


def test_the_tutorial_profile_is_for_one_machine() -> None:
    assert found(checks.check_profile(Settings(profile="tutorial"))) == []
    public = Settings(**TLS, profile="tutorial")
    assert found(checks.check_profile(public)) == [("warning", "tutorial_in_public")]


@pytest.mark.parametrize(
    ("address", "count"),
    [
        ("mongodb://127.0.0.1:27017/x", 0),
        ("mongodb://localhost,localhost:27018/x?replicaSet=rs0", 0),
        ("mongodb://%2Ftmp%2Fmongodb.sock/x", 0),
        ("mongodb+srv://db.example/x", 0),
        ("mongodb://db.example/x?tls=true", 0),
        ("mongodb://db.example/x?SSL=true", 0),
        ("mongodb://ann:s3cr3t@db.example:27017,localhost/x", 1),
        ("mongodb://db.example/x?tls=false", 1),
        ("", 0),
    ],
)
def test_the_way_to_mongodb_should_have_tls(address: str, count: int) -> None:
    findings = list(checks.check_way_to_mongodb(Settings(database=address)))

    assert found(findings) == [("warning", "mongodb_without_tls")] * count
    assert "s3cr3t" not in repr(findings)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, []),
        (TLS, [("note", "no_letters")]),
        ({"public_url": "http://10.0.0.4"}, [("note", "no_letters")]),
        (TLS | {"smtp_url": "smtp://h.example"}, []),
        ({"smtp_url": "smtp://h.example"}, [("warning", "sender_local")]),
        ({"smtp_url": "smtp://h.example", "mail_from": "a@b.example"}, []),
        (
            {"smtp_url": "smtp://h.example", "mail_from": "A <a@localhost>"},
            [("warning", "sender_local")],
        ),
    ],
)
def test_letters_need_a_server_and_a_sender(
    given: dict[str, Any], expected: list[tuple[str, str]]
) -> None:
    assert found(checks.check_letters(Settings(**given))) == expected


@pytest.mark.parametrize(("least", "count"), [(8, 1), (14, 1), (15, 0), (64, 0)])
def test_a_lone_password_should_be_long(least: int, count: int) -> None:
    findings = found(checks.check_password_minimum(Settings(password_minimum=least)))

    assert findings == [("warning", "passwords_short")] * count


def test_no_lone_password_signs_in_where_a_second_factor_is_required() -> None:
    assert found(checks.check_password_minimum(Settings(second_factor="required"))) == []


@pytest.mark.parametrize(("kept", "count"), [("400d", 0), ("30d", 0), ("29d", 1), ("7d", 1)])
def test_events_that_are_soon_gone_are_told(kept: str, count: int) -> None:
    given = Settings.model_validate({"events_kept": kept})
    assert found(checks.check_events(given)) == [("note", "events_short")] * count


@pytest.mark.parametrize(
    ("given", "count"),
    [
        ({}, 0),
        ({"second_factor": "off"}, 0),
        ({"second_factor_required_for": "admin"}, 0),
        ({"second_factor": "off", "second_factor_required_for": "admin"}, 1),
    ],
)
def test_roles_that_nobody_asks_for_a_second_factor_are_told(
    given: dict[str, Any], count: int
) -> None:
    findings = found(checks.check_second_factors(Settings(**given)))
    assert findings == [("warning", "second_factors_off")] * count


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, "warning"),
        ({"second_factor_required_for": "user"}, "warning"),
        ({"second_factor_required_for": "admin"}, "note"),
        ({"second_factor": "required"}, "note"),
        ({"second_factor": "off"}, None),
    ],
)
async def test_administrators_without_a_second_factor_are_told(
    stores: Stores, given: dict[str, Any], expected: str | None
) -> None:
    """Only those who can sign in are counted."""
    settings = Settings(**given)
    admins = ("user", "admin")
    with_one = a_user("ann", roles=admins, factors=(a_factor(),))
    disabled = a_user("bob", roles=admins, disabled_at=NOON)
    for user in (with_one, disabled, a_user("cat")):
        await stores.users.add(user, an_event())
    assert await database.check_administrators(stores.users, settings) == []

    for name in ("dan", "eve"):
        without = a_user(name, roles=admins, factors=(a_factor("recovery_codes"),))
        await stores.users.add(without, an_event())
    told = await database.check_administrators(stores.users, settings)

    levels = [] if expected is None else [(expected, "admins_without_second_factor")]
    assert found(told) == levels
    if told:
        assert told[0].message.startswith("2 of 3 administrators have no second factor:")


async def test_a_role_that_does_not_exist_asks_nobody_for_a_second_factor(stores: Stores) -> None:
    await stores.roles.ensure([Role("admin", "Admins"), Role("editor", "Editors")])
    settings = Settings(second_factor_required_for="admin,editors")
    [told] = await database.check_roles(stores.roles, settings)
    assert (told.level, told.code) == ("warning", "second_factor_role_unknown")
    assert told.message.endswith("there is no such role. Is editor meant?")
    assert await database.check_roles(stores.roles, Settings()) == []


def test_unknown_variables_are_told() -> None:
    assert found(checks.check_variables({"GATELODGE_PORT": "1", "HOME": "/"})) == []
    assert found(checks.check_variables({"GATELODGE_PROT": "1"})) == [
        ("warning", "variables_unknown")
    ]


# The computer


def test_few_open_files_are_warned_of() -> None:
    assert found(machine.check_open_files(1024)) == [("warning", "files_few")]
    assert found(machine.check_open_files(machine.ENOUGH_FILES)) == []


@pytest.mark.parametrize(
    ("given", "codes"),
    [
        ({"workers": 4}, []),
        ({"workers": 5}, ["workers_many"]),
        ({"hash_threads": 4}, []),
        ({"hash_threads": 5}, ["hash_threads_many"]),
        ({"hash_threads": 3, "workers": 2}, ["hash_threads_many"]),
        ({"hash_threads": 1, "workers": 5}, ["workers_many", "hash_threads_many"]),
    ],
)
def test_more_threads_than_cores_are_warned_of(given: dict[str, int], codes: list[str]) -> None:
    findings = found(machine.check_cores(Settings(**given), Machine(4, None)))

    assert findings == [("warning", code) for code in codes]


@pytest.mark.parametrize(
    ("mebibytes", "expected"),
    [
        (400, []),
        (300, [("warning", "hash_memory_large")]),
        (150, [("error", "hash_memory_large")]),
        (None, []),
    ],
)
def test_the_hashes_must_fit_into_the_memory(
    mebibytes: int | None, expected: list[tuple[str, str]]
) -> None:
    given = Settings(hash_threads=5, workers=2)  # ten hashes of 19 MiB
    here = Machine(64, mebibytes * MIB if mebibytes else None)

    assert found(machine.check_memory(given, here)) == expected


def test_a_disk_that_is_nearly_full_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The free space of the machine is its own; the limits are moved around it."""
    free = shutil.disk_usage(tmp_path).free
    assert found(machine.check_disk(tmp_path / "not made yet")) == []
    for least, enough, expected in (
        (0, 0, []),
        (0, 2 * free, [("warning", "disk_full")]),
        (2 * free, 2 * free, [("error", "disk_full")]),
    ):
        monkeypatch.setattr(machine, "LEAST_DISK", least)
        monkeypatch.setattr(machine, "ENOUGH_DISK", enough)
        assert found(machine.check_disk(tmp_path)) == expected


@pytest.mark.parametrize(
    ("name", "mode", "expected"),
    [
        ("secret.key", 0o600, []),
        ("secret.key", 0o440, []),  # as orchestrators mount it
        ("secret.key", 0o644, [("error", "secret_key_open")]),
        ("secret.key", 0o660, [("error", "secret_key_open")]),
        ("gatelodge.db", 0o600, []),
        ("gatelodge.db", 0o640, [("warning", "database_open")]),
        (".", 0o700, []),
        (".", 0o755, [("warning", "folder_open")]),
    ],
)
def test_files_that_others_may_read_are_found(
    tmp_path: Path, name: str, mode: int, expected: list[tuple[str, str]]
) -> None:
    folder = tmp_path / "data"
    folder.mkdir(mode=0o700)
    for file in ("secret.key", "gatelodge.db"):
        (folder / file).touch(mode=0o600)
    (folder / name).chmod(mode)

    assert found(machine.check_modes(Settings(data_dir=folder))) == expected


def test_files_elsewhere_are_looked_at_where_they_are(tmp_path: Path) -> None:
    database_file, key = tmp_path / "a.db", tmp_path / "a.key"
    for file in (database_file, key):
        file.touch(mode=0o644)
    url = tmp_path / "url"
    url.touch(mode=0o644)
    found_url = found(machine.check_modes(Settings(data_dir=tmp_path / "none", smtp_url_file=url)))
    assert found_url == [("error", "smtp_url_open")]
    for address in (str(database_file), f"sqlite:///{database_file}"):
        given = Settings(data_dir=tmp_path / "none", database=address, secret_key_file=key)
        assert found(machine.check_modes(given)) == [
            ("error", "secret_key_open"),
            ("warning", "database_open"),
        ]


def test_a_folder_without_our_files_is_nobodys_business(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    (tmp_path / "notes.txt").touch()

    assert found(machine.check_modes(Settings(data_dir=tmp_path))) == []


def test_nothing_is_made_or_changed_by_looking(tmp_path: Path) -> None:
    given = Settings(data_dir=tmp_path / "data")

    examine_machine(given, Machine(4, None), 1 << 20)

    assert list(tmp_path.iterdir()) == []


# The database


async def test_a_feed_that_does_not_answer_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "FEED_SECONDS", 0.3)
    stores = open_stores("mongodb://127.0.0.1:1/shop?replicaSet=rs0")
    await stores.database.start()
    try:
        for kind, expected in (
            ("replica_set", [("warning", "feed_lost")]),
            ("standalone", []),  # has none, which is told by itself
            ("sharded", []),
        ):
            state = DatabaseState(kind, timedelta(0))  # type: ignore[arg-type]
            assert found(await database.check_feed(stores.feed, state)) == expected
    finally:
        await stores.database.stop()


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (0, []),
        (2, []),
        (-2, []),
        (3, [("warning", "clock_off")]),
        (-30, [("warning", "clock_off")]),
        (31, [("error", "clock_off")]),
        (-3600, [("error", "clock_off")]),
    ],
)
def test_a_clock_that_is_off_is_found(seconds: int, expected: list[tuple[str, str]]) -> None:
    for kind in ("file", "replica_set"):
        state = DatabaseState(kind, seconds * SECONDS)
        assert found(database.check_clock(state)) == expected


def test_the_direction_of_the_clock_is_told() -> None:
    (behind,) = database.check_clock(DatabaseState("standalone", 3600 * SECONDS))
    (ahead,) = database.check_clock(DatabaseState("standalone", -3600 * SECONDS))

    assert behind.message.startswith("This machine's clock is 3,600 seconds behind the database's")
    assert ahead.message.startswith("This machine's clock is 3,600 seconds ahead of the database's")


@pytest.mark.parametrize(
    ("kind", "members", "arbiters", "expected"),
    [
        ("file", 1, 0, []),
        ("standalone", 1, 0, [("warning", "mongodb_standalone")]),
        ("sharded", 1, 0, [("note", "mongodb_sharded")]),
        ("replica_set", 1, 0, [("warning", "mongodb_majority")]),
        ("replica_set", 2, 0, [("warning", "mongodb_majority")]),
        ("replica_set", 2, 1, [("warning", "mongodb_majority")]),
        ("replica_set", 3, 0, []),
        ("replica_set", 3, 1, [("warning", "mongodb_majority")]),
        ("replica_set", 4, 1, []),
        ("replica_set", 5, 0, []),
    ],
)
def test_a_replica_set_must_survive_the_loss_of_a_member(
    kind: str, members: int, arbiters: int, expected: list[tuple[str, str]]
) -> None:
    state = DatabaseState(kind, timedelta(0), members, arbiters)  # type: ignore[arg-type]

    assert found(database.check_topology(state)) == expected


def a_key(number: int, *, days_old: float, gone: bool = False) -> SigningKey:
    since = NOON - days_old * DAYS
    kid = f"key_{number}"
    ended = NOON - SECONDS if gone else None
    sealed = SECRET.seal(SEAL_PURPOSE, b"private", kid.encode())
    return SigningKey(
        number=number,
        kid=kid,
        algorithm="EdDSA",
        public_key=b"",
        sealed_private_key=sealed,
        created_at=since,
        not_before=since,
        retires_at=ended,
        gone_at=ended,
    )


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ([], []),
        ([a_key(1, days_old=90)], []),
        ([a_key(1, days_old=92)], [("warning", "key_old")]),
        ([a_key(1, days_old=200, gone=True), a_key(2, days_old=5)], []),
        ([a_key(1, days_old=200), a_key(2, days_old=100)], [("warning", "key_old")]),
        ([a_key(1, days_old=200, gone=True)], []),
    ],
)
def test_a_key_that_nobody_replaced_is_found(
    keys: list[SigningKey], expected: list[tuple[str, str]]
) -> None:
    assert found(database.check_keys(keys, Settings(), NOON)) == expected


def test_a_secret_key_that_does_not_fit_is_found() -> None:
    keys = [a_key(1, days_old=1), a_key(2, days_old=0)]
    gone = [a_key(1, days_old=1, gone=True)]

    assert found(database.check_secret_key(keys, SECRET)) == []
    assert found(database.check_secret_key(keys, OTHER_SECRET)) == [("error", "secret_key_wrong")]
    assert found(database.check_secret_key(gone, OTHER_SECRET)) == []
