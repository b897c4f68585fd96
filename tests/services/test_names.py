"""Which usernames and e-mail addresses are accepted, and which of them count as the same."""

import re
import sys
import unicodedata
from contextlib import suppress

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatelodge.accounts.names import (
    MAX_NAME,
    check_email,
    check_name,
    check_username,
    email_key,
    username_key,
)
from gatelodge.accounts.refusals import InvalidEmail, InvalidName, InvalidUsername
from gatelodge.app import DOORS, House
from gatelodge.pages.aliases import ALIASES
from tests.support.people import Person, new_user

ALLOWED = frozenset("abcdefghijklmnopqrstuvwxyz0123456789._-")
ANYTHING = st.text(st.characters(codec=None, categories=None), max_size=300)
PART = st.text(st.one_of(st.sampled_from("aB9.-+"), st.characters()), min_size=1, max_size=9)


@pytest.mark.parametrize("name", ["user", "mod", "moderator", "a.b-c_d", "9lives", "x" * 32])
def test_an_ordinary_name_is_its_own_key(name: str) -> None:
    assert check_username(name) == name


@pytest.mark.parametrize(
    ("typed", "key"),
    [
        ("Alice", "alice"),
        ("\uff21lice", "alice"),
        ("Straße", "strasse"),
        ("ﬁona", "fiona"),
        ("\u212aelvin", "kelvin"),
        ("\U0001d41bob", "bob"),
    ],
)
def test_names_that_look_alike_have_one_key(typed: str, key: str) -> None:
    assert check_username(typed) == username_key(key) == key


@pytest.mark.parametrize(
    "name",
    [
        "",
        "ab",
        "x" * 33,
        "x" * 1_000_000,
        "a" + "\u0300\u0316" * 500_000,
        ".abc",
        "-abc",
        "_abc",
        "a b c",
        " abc",
        "abc\n",
        "a@b.c",
        "a/b/c",
        "\u0430lice",
        "naïve",
        "alice🙂",
        "ali\u200bce",
        "ali\u202ece",
        "ali\u2066ce",
        "ali\ufeffce",
        "ali\u00adce",
        "ali\ufe0fce",
        "ali\x00ce",
        "ali\x1bce",
        "ali\ud800ce",
        "ﷺﷺﷺ",
    ],
)
def test_a_name_that_breaks_the_rules_is_refused(name: str) -> None:
    with pytest.raises(InvalidUsername) as refusal:
        check_username(name)

    assert refusal.value.field == "username"


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("ab", "3 to 32"),
        ("ali\u200bce", "invisible"),
        ("a/bc", "letters"),
        ("root", "reserved"),
    ],
)
def test_the_refusal_says_which_rule(name: str, hint: str) -> None:
    with pytest.raises(InvalidUsername, match=hint):
        check_username(name)


@pytest.mark.parametrize(
    "name",
    [
        *("admin", "Admin", "\uff41dmin", "root", "sign-in", "api"),
        *("self", "undefined", "none", "None", "true", "FALSE", "nan", "everyone", "anonymous"),
        *("gatelodge", "postmaster", "no-reply", "login", "register", "command", "server"),
    ],
)
def test_a_reserved_name_is_for_the_operator_only(name: str) -> None:
    with pytest.raises(InvalidUsername, match="reserved"):
        check_username(name)

    assert check_username(name, reserved_allowed=True) == username_key(name)


def test_the_segments_of_every_address_are_reserved() -> None:
    """Nobody can be `/NAME` to people. Segments that are too short for a name are left out."""
    paths = [route.path for door in DOORS for route in door.routes]
    paths = [re.sub(r"(/admin/[^/]+)/.*", r"\1", path) for path in paths]  # sections are enough
    segments = {each for path in (*paths, *ALIASES) for each in path.split("/") if "{" not in each}
    segments = {each.removeprefix(".") for each in segments}
    free = {"all", "mod", "user", "delete", "logo"}  # only below other segments
    free |= {"style.css", "reference.css", "reference.js", "passkeys.js", "admin.css", "admin.js"}

    for segment in segments - free:
        if len(segment) > 2:
            with pytest.raises(InvalidUsername):
                check_username(segment)


async def test_who_has_such_a_name_from_before_signs_in_as_ever(
    house: House, client: httpx2.AsyncClient
) -> None:
    for name in ("undefined", "login"):
        await new_user(house, name)
        assert (await Person(name, client).sign_in()).status_code == 200


def test_no_code_point_vanishes_into_an_allowed_name() -> None:
    """Every code point that becomes allowed letters is visible, so nothing can hide in a name."""
    for number in range(sys.maxunicode + 1):
        key = username_key(chr(number))
        hides = set(key) <= ALLOWED and unicodedata.category(chr(number))[0] in "CMZ"
        assert key, f"U+{number:04X}"
        assert not hides, f"U+{number:04X}"


@given(ANYTHING)
def test_every_text_has_a_key_that_is_its_own_key(text: str) -> None:
    key = username_key(text[:3])

    assert username_key(key) == key
    username_key(text).encode()


@given(ANYTHING)
def test_a_name_is_taken_or_refused_and_nothing_else(text: str) -> None:
    with suppress(InvalidUsername):
        assert set(check_username(text)) <= ALLOWED


@pytest.mark.parametrize(
    ("typed", "email", "key"),
    [
        ("user@example.com", "user@example.com", "user@example.com"),
        ("User@Example.COM", "User@example.com", "user@example.com"),
        ("root@localhost", "root@localhost", "root@localhost"),
        ("a.b+tag@example.org", "a.b+tag@example.org", "a.b+tag@example.org"),
        ("o'neil@mail.example.ie", "o'neil@mail.example.ie", "o'neil@mail.example.ie"),
        ("user@BÜCHER.example", "user@xn--bcher-kva.example", "user@xn--bcher-kva.example"),
        ("user@AB--cd.example.com", "user@ab--cd.example.com", "user@ab--cd.example.com"),
        ("user@r3---sn-x.example.com",) + ("user@r3---sn-x.example.com",) * 2,
        ("user@ab--cd.bücher.de", *("user@ab--cd.xn--bcher-kva.de",) * 2),
        ("user@straße.de", "user@xn--strae-oqa.de", "user@xn--strae-oqa.de"),
        ("Jose\u0301@example.com", "José@example.com", "josé@example.com"),
        (f"{'x' * 64}@example.com", f"{'x' * 64}@example.com", f"{'x' * 64}@example.com"),
    ],
)
def test_an_address_keeps_its_local_part_and_lowers_its_domain(
    typed: str, email: str, key: str
) -> None:
    assert check_email(typed) == (email, key)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "@",
        "user",
        "@example.com",
        "user@",
        "user@@example.com",
        "a@b@example.com",
        "user@intranet",
        "user@example.com.",
        "user@.example.com",
        "user@exa..mple.com",
        "user@-example.com",
        "user@exa_mple.com",
        "user@127.0.0.1",
        "user@[127.0.0.1]",
        "user@xn--a.com",
        "user@xn--0.example.com",
        "user@ab-.example.com",
        "user@a.-b--c.example.com",
        "user@☃.net",
        "user@example.com\r\nBcc: all@example.com",
        "user@example.com\n",
        "us er@example.com",
        "us\u00a0er@example.com",
        "us\u200ber@example.com",
        "us\u202eer@example.com",
        "us\x00er@example.com",
        "us\ud800er@example.com",
        "user@exam\ud800ple.com",
        "user\uff20example.com",
        "a,b@example.com",
        "<a>@example.com",
        '"a"@example.com',
        ".user@example.com",
        "user.@example.com",
        "us..er@example.com",
        f"{'x' * 65}@example.com",
        f"{'é' * 33}@example.com",
        f"user@{'x' * 64}.com",
        f"user@{'abcdefg.' * 31}com",
        f"user@{'ü' * 60}.{'ü' * 60}.{'ü' * 60}.{'ü' * 60}.com",
        "x" * 1_000_000,
        "@" * 1_000_000,
        "🙂" * 1_000_000,
    ],
)
def test_what_is_not_an_address_is_refused(text: str) -> None:
    with pytest.raises(InvalidEmail) as refusal:
        check_email(text)

    assert refusal.value.field == "email"


@given(st.one_of(ANYTHING, st.builds("{}@{}.com".format, PART, PART)))
def test_an_address_is_taken_or_refused_and_taken_again_unchanged(text: str) -> None:
    try:
        email, key = check_email(text)
    except InvalidEmail:
        return

    assert check_email(email) == (email, key)
    assert check_email(key)[1] == key
    assert email_key(text) == key


@given(st.text())
def test_what_is_no_address_has_a_key_that_no_address_has(text: str) -> None:
    try:
        check_email(text)
    except InvalidEmail:
        assert email_key(text).startswith(" ")
        assert len(email_key(text)) < 1000
        email_key(text).encode()
        with pytest.raises(InvalidEmail):
            check_email(email_key(text))


# What somebody is called


@pytest.mark.parametrize(
    ("typed", "stored"),
    [
        ("", ""),
        (" \t\u00a0\n", ""),
        ("  Ann ", "Ann"),
        ("Anne\u0301", "Ann\u00e9"),
        ("O’Brien-Smith, Dr. <Ann>", "O’Brien-Smith, Dr. <Ann>"),
        ("Đặng Thị Ánh", "Đặng Thị Ánh"),
        ("王小明", "王小明"),
        ("نیم\u200cفاصله", "نیم\u200cفاصله"),  # Persian needs the joiner
        ("Ann 👩\u200d🚀", "Ann 👩\u200d🚀"),
        ("x" * MAX_NAME, "x" * MAX_NAME),
        ("e\u0301" * MAX_NAME, "\u00e9" * MAX_NAME),
    ],
)
def test_a_name_is_trimmed_and_stored_in_nfc(typed: str, stored: str) -> None:
    assert check_name(typed) == stored


@pytest.mark.parametrize(
    "text",
    [
        "x" * (MAX_NAME + 1),
        "x" * 1_000_000,
        "a\u0000b",
        "a\nb",
        "a\u0085b",
        "a\u200bb",
        "a\ufeffb",
        "a\u00adb",
        "a\u2028b",
        "a\ud800b",
        "a\ue000b",
        "\u200d",
        "\u200c \u200d",
        *(f"a{mark}b" for mark in "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e"),
        *(f"a{mark}b" for mark in "\u2066\u2067\u2068\u2069"),
    ],
    ids=ascii,
)
def test_what_cannot_be_shown_as_a_name_is_refused(text: str) -> None:
    with pytest.raises(InvalidName) as refusal:
        check_name(text)

    assert refusal.value.field == "name"


@given(ANYTHING)
def test_a_name_is_taken_or_refused_and_taken_again_unchanged(text: str) -> None:
    try:
        name = check_name(text)
    except InvalidName:
        return

    assert check_name(name) == name
    assert name.encode().decode() == name.strip() == name
