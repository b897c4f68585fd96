"""Which passwords may be chosen, and which stored hashes they match."""

import base64
import resource
from importlib.resources import files
from pathlib import Path

import bcrypt
import pytest
from argon2.low_level import Type, hash_secret
from hypothesis import given, settings
from hypothesis import strategies as st

from gatelodge.credentials.blocklist import is_common
from gatelodge.credentials.passwords import (
    PasswordHasher,
    check_new_password,
    check_presented_password,
)
from gatelodge.credentials.refusals import HashingUnavailable, RejectedPassword
from gatelodge.errors import ConfigurationError, InvalidRequest

HASHER = PasswordHasher()
GOOD = "correct horse battery"
NAMES = ("alice.liddell", "liddell.alice@example.com", "login.example.com")
ANYTHING = st.text(st.characters(codec=None, categories=None))


def argon2(
    password: str,
    *,
    memory: int = 64,
    passes: int = 1,
    lanes: int = 1,
    salt: bytes = b"s" * 16,
    tag_bytes: int = 32,
    kind: Type = Type.ID,
) -> str:
    secret = password.encode()
    return hash_secret(secret, salt, passes, memory, lanes, tag_bytes, kind).decode()


def bcrypt_of(password: bytes, *, cost: int = 10, prefix: str = "2b") -> str:
    return bcrypt.hashpw(password, bcrypt.gensalt(cost)).decode().replace("2b", prefix, 1)


# The rules


@pytest.mark.parametrize(
    "password",
    [
        GOOD,
        " 8 chars",
        "    ~    ",
        "päßwörtĕ",
        "🙂🙃🙂🙃🙂🙃🙂🙂",
        "ab\r\n\t\x1bcd",
        "\u0378" * 8 + "\u0379",
        "x1" * 127 + "yz",
        "🙂" * 255 + "🙃",
        "e\u0301" * 255 + "a\u0301",
    ],
)
def test_a_long_enough_password_of_any_characters_may_be_chosen(password: str) -> None:
    check_new_password(password, minimum=8, context=NAMES)
    check_presented_password(password)


@pytest.mark.parametrize(
    ("password", "why"),
    [
        ("", "Use at least 8 characters."),
        ("seven77", "Use at least 8 characters."),
        ("🙂" * 7, "Use at least 8 characters."),
        ("e\u0301" * 7, "Use at least 8 characters."),
        ("x" * 257, "Use at most 256 characters"),
        ("ﷺ" * 257, "Use at most 256 characters"),
        ("x" * 1_000_000, "Use at most 256 characters"),
        ("e" + "\u0300\u0316" * 500_000, "Use at most 256 characters"),
        ("\U0001d15e" * 200, "1024 bytes"),
        ("nul\0nul\0nul", "U\\+0000"),
        ("half a pair \ud83d", "Unicode"),
        ("password1", "common"),
        ("PassWord1", "common"),
        ("12345678", "common"),
        ("alice.liddell", "name"),
        ("ALICE.LIDDELL", "name"),
        ("Liddell.Alice@Example.com", "name"),
        ("liddell.alice", "name"),
        ("login.example.com", "name"),
        ("GateLodge", "name"),
    ],
)
def test_a_password_that_may_not_be_chosen_is_refused_with_the_reason(
    password: str, why: str
) -> None:
    with pytest.raises(RejectedPassword, match=why) as refusal:
        check_new_password(password, minimum=8, context=NAMES)

    assert refusal.value.field == "password"


def test_the_minimum_can_be_raised_and_never_lowered() -> None:
    with pytest.raises(RejectedPassword, match=r"Use at least 15 characters\."):
        check_new_password("fourteen chars", minimum=15, context=())
    with pytest.raises(RejectedPassword, match=r"Use at least 8 characters\."):
        check_new_password("seven77", minimum=1, context=())


def test_only_the_whole_password_is_compared_with_the_list() -> None:
    check_new_password("password1 and more", minimum=8, context=NAMES)
    check_new_password("password\npassword1", minimum=8, context=NAMES)
    check_new_password("my alice.liddell", minimum=8, context=NAMES)


def test_the_list_holds_the_most_common_passwords_of_policy_length() -> None:
    """OWASP ASVS 6.2.4 asks for 3000 passwords. Each is found in lower and in upper case."""
    listed = files("gatelodge.credentials").joinpath("common_passwords.txt").read_text("utf-8")
    passwords = listed.splitlines()

    assert len(passwords) >= 3000
    assert passwords == sorted(set(passwords))
    assert all(len(password) >= 8 for password in passwords)
    assert all(is_common(password) and is_common(password.upper()) for password in passwords)


@pytest.mark.parametrize("password", ["x" * 257, "x" * 1_000_000, "a\0b", "\udc00", "ﷺ" * 342])
def test_what_cannot_be_a_password_is_refused_before_it_is_hashed(password: str) -> None:
    with pytest.raises(InvalidRequest) as refusal:
        check_presented_password(password)

    assert refusal.value.field == "password"


@given(ANYTHING)
def test_a_password_is_taken_or_refused_and_nothing_else(password: str) -> None:
    try:
        check_new_password(password, minimum=8, context=(password[1:], "x@" + password))
    except RejectedPassword:
        return
    check_presented_password(password)


# The hashes


def test_a_hash_is_argon2id_of_todays_cost_and_matches_its_password_only() -> None:
    stored = HASHER.hash(GOOD)

    assert stored.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    salt, tag = stored.split("$")[-2:]
    assert (len(base64.b64decode(salt + "==")), len(base64.b64decode(tag + "="))) == (16, 32)
    assert HASHER.verify(stored, GOOD)
    assert not HASHER.verify(stored, GOOD + " ")
    assert not HASHER.verify(stored, GOOD.upper())
    assert not HASHER.needs_rehash(stored)
    assert HASHER.hash(GOOD) != stored


def test_a_password_matches_however_its_accents_were_typed() -> None:
    stored = HASHER.hash("caf\u00e9 au lait")

    assert HASHER.verify(stored, "cafe\u0301 au lait")
    assert not HASHER.verify(stored, "cafe au lait")
    assert not HASHER.verify(HASHER.hash("ﬁrst-class"), "first-class")


def test_every_byte_of_the_longest_password_counts() -> None:
    stored = HASHER.hash("🙂" * 256)

    assert HASHER.verify(stored, "🙂" * 256)
    assert not HASHER.verify(stored, "🙂" * 255 + "🙃")


def test_no_password_matches_an_unknown_user() -> None:
    assert not HASHER.verify(None, GOOD)
    assert not HASHER.verify(None, "")
    assert not HASHER.verify(HASHER._dummy_hash(), GOOD)


def test_the_hash_checked_for_an_unknown_user_costs_what_a_real_one_costs() -> None:
    """The two hashes differ only in salt and tag, and these have the same length."""
    real = HASHER.hash(GOOD).split("$")
    nobodys = HASHER._dummy_hash().split("$")

    assert nobodys[:4] == real[:4]
    assert [len(part) for part in nobodys] == [len(part) for part in real]


@pytest.mark.parametrize(
    "stored",
    [
        argon2(GOOD),
        argon2(GOOD, memory=128, lanes=8),
        argon2(GOOD, passes=10),
        argon2(GOOD, salt=b"12345678", tag_bytes=16),
    ],
)
def test_a_weaker_argon2id_hash_is_verified_and_replaced(stored: str) -> None:
    assert HASHER.verify(stored, GOOD)
    assert not HASHER.verify(stored, GOOD + "!")
    assert HASHER.needs_rehash(stored)


def test_a_stronger_hash_is_kept() -> None:
    stored = PasswordHasher(memory_kib=20480, passes=3).hash(GOOD)

    assert HASHER.verify(stored, GOOD)
    assert not HASHER.needs_rehash(stored)
    assert PasswordHasher(passes=4).needs_rehash(stored)


def test_a_hash_of_another_number_of_lanes_was_made_elsewhere_and_is_replaced() -> None:
    """Such as those of pwdlib, which fastapi-users stores."""
    stored = PasswordHasher(memory_kib=65536, passes=3, lanes=4).hash(GOOD)

    assert HASHER.accepts(stored)
    assert HASHER.verify(stored, GOOD)
    assert HASHER.needs_rehash(stored)


@pytest.mark.parametrize(
    "stored",
    [
        "",
        GOOD,
        "$argon2i$v=19$m=65536,t=3,p=4$c2FsdHNhbHQ$" + "A" * 43,
        "$argon2id$v=19$m=9999999,t=3,p=4$c2FsdHNhbHQ$" + "A" * 43,
        "$argon2id$v=19$m=65536,t=3,p=4$" + "A" * 13 + "$" + "A" * 43,
        "$argon2id$v=19$m=65536,t=3,p=4$" + "A" * 22 + "$" + "A" * 41,
        "$2b$09$" + "." * 53,
        "$2b$12$" + "a" * 53,
        "pbkdf2_sha256$1$salt$hash",
    ],
)
def test_a_hash_that_cannot_be_checked_is_not_accepted(stored: str) -> None:
    assert not HASHER.accepts(stored)
    assert not HASHER.verify(stored, GOOD)


@pytest.mark.parametrize("prefix", ["2a", "2b", "2y"])
def test_an_imported_bcrypt_hash_is_verified_and_replaced(prefix: str) -> None:
    stored = bcrypt_of(GOOD.encode(), prefix=prefix)

    assert HASHER.verify(stored, GOOD)
    assert not HASHER.verify(stored, GOOD + "!")
    assert HASHER.needs_rehash(stored)


def test_bcrypt_reads_72_bytes_as_it_did_where_the_hash_was_made() -> None:
    stored = bcrypt_of(b"x" * 71 + "é".encode()[:1])

    assert HASHER.verify(stored, "x" * 71 + "é" + "whatever follows")
    assert not HASHER.verify(stored, "x" * 71)
    assert not HASHER.verify(stored, "x" * 71 + "\0")


ARGON2 = argon2(GOOD)
BCRYPT = bcrypt_of(GOOD.encode())


@pytest.mark.parametrize(
    "stored",
    [
        pytest.param("", id="empty"),
        pytest.param(GOOD, id="the password itself"),
        pytest.param("$", id="a dollar"),
        pytest.param("$argon2id$", id="a name only"),
        pytest.param("é\ud800\0", id="not text"),
        pytest.param("x" * 1_000_000, id="a megabyte"),
        pytest.param(ARGON2[:-1], id="argon2: cut"),
        pytest.param(ARGON2 + "\n", id="argon2: with a newline"),
        pytest.param(ARGON2 + "\0", id="argon2: with NUL"),
        pytest.param(ARGON2.replace("v=19", "v=16"), id="argon2: old version"),
        pytest.param(ARGON2.replace("m=64", "m=7"), id="argon2: no memory"),
        pytest.param(ARGON2.replace("m=64", "m=064"), id="argon2: leading zero"),
        pytest.param(ARGON2.replace("m=64", "m=262145"), id="argon2: over 256 MiB"),
        pytest.param(ARGON2.replace("m=64", "m=4294967295"), id="argon2: 4 TiB"),
        pytest.param(ARGON2.replace("m=64", "m=" + "9" * 5000), id="argon2: 5000 digits"),
        pytest.param(ARGON2.replace("t=1", "t=0"), id="argon2: no pass"),
        pytest.param(ARGON2.replace("t=1", "t=11"), id="argon2: 11 passes"),
        pytest.param(ARGON2.replace("p=1", "p=9"), id="argon2: 9 lanes"),
        pytest.param(argon2(GOOD, kind=Type.I), id="argon2i"),
        pytest.param(argon2(GOOD, kind=Type.D), id="argon2d"),
        pytest.param(bcrypt_of(GOOD.encode(), cost=9), id="bcrypt: cost 9"),
        pytest.param(BCRYPT.replace("$10$", "$15$"), id="bcrypt: cost 15"),
        pytest.param(BCRYPT.replace("$10$", "$31$"), id="bcrypt: cost 31"),
        pytest.param(BCRYPT.replace("$2b$", "$2x$"), id="bcrypt: the broken variant"),
        pytest.param(BCRYPT[:-1], id="bcrypt: cut"),
        pytest.param(BCRYPT[:28] + "A" + BCRYPT[29:], id="bcrypt: stray bits in the salt"),
        pytest.param("$2b$10$" + "z" * 53, id="bcrypt: only stray bits"),
    ],
)
def test_a_stored_text_that_is_no_affordable_hash_matches_nothing(stored: str) -> None:
    assert not HASHER.verify(stored, GOOD)


@settings(max_examples=30, deadline=None)
@given(st.one_of(ANYTHING, st.from_regex(r"\A\$argon2id\$v=19\$m=[1-9]{1,3},t=1,p=1\$.*\Z")))
def test_no_stored_text_raises(stored: str) -> None:
    assert HASHER.verify(stored, GOOD) is False


@pytest.mark.parametrize("cost", [{"memory_kib": 262_145}, {"passes": 11}, {"lanes": 9}])
def test_parameters_that_could_not_be_verified_again_are_refused(cost: dict[str, int]) -> None:
    with pytest.raises(ConfigurationError):
        PasswordHasher(**cost)


@pytest.mark.parametrize(
    "password",
    [
        "passwordpassword",
        "PasswordPassword",
        "123456789012345",
        "aaaaaaaaaaaaaaaa",
        "🙂" * 12,
        "abcabcabcab",
        "987654321098",
        "zyxwvutsrqpo",
        "tuvwxyzabcdef",
        "qwertyuiopqwe",
        "1q2w3e4r5t6z7u",
        "ö" * 9,
    ],
)
def test_a_repetition_or_a_plain_sequence_is_refused(password: str) -> None:
    """Long enough, on no list, and among the first that are tried."""
    with pytest.raises(RejectedPassword, match="repetition or a plain sequence"):
        check_new_password(password, minimum=8, context=())


@pytest.mark.parametrize(
    "password",
    ["seven wild swans", "12345678901234X", "aaaaaaaaaaaaaaab", "passwordpasswore", "abcdefghik"],
)
def test_what_only_looks_like_a_pattern_is_taken(password: str) -> None:
    """The whole password is compared, not its parts (NIST SP 800-63B-4, 3.1.1.2)."""
    check_new_password(password, minimum=8, context=())


def test_what_could_not_be_checked_is_not_wrong() -> None:
    """Without memory for a hash the answer is that there is none, not that it differs."""
    limits = resource.getrlimit(resource.RLIMIT_AS)
    hasher = PasswordHasher()
    stored = hasher.hash("right")
    hungry = PasswordHasher(memory_kib=256 * 1024)
    expensive = stored.replace("m=19456", f"m={256 * 1024}")
    resource.setrlimit(resource.RLIMIT_AS, (_mapped_bytes() + (64 << 20), limits[1]))
    try:
        with pytest.raises(HashingUnavailable):
            hasher.verify(expensive, "right")
        with pytest.raises(HashingUnavailable):
            hungry.verify(None, "right")
        with pytest.raises(HashingUnavailable):
            hungry.hash("right")
        assert hasher.verify(stored, "right")
    finally:
        resource.setrlimit(resource.RLIMIT_AS, limits)


def _mapped_bytes() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    return pages * resource.getpagesize()
