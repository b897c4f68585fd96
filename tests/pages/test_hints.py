"""What the script checks as one types, the choice of a language, and a server without anybody."""

import json
import re
import unicodedata
from datetime import timedelta

import pytest

from gatelodge.accounts.names import check_email, check_username
from gatelodge.app import House
from gatelodge.audit import COMMAND
from gatelodge.credentials.passwords import MAX_CHARACTERS, check_new_password
from gatelodge.errors import Refusal
from gatelodge.i18n import language_for
from gatelodge.pages.hints import hints_of
from gatelodge.sessions.devices import device_kind
from tests.pages.reader import Reader
from tests.support.clock import FakeClock
from tests.support.naughty import NAUGHTY
from tests.support.people import PASSWORD

MINIMUM = 10
CHECKS = {
    "username": check_username,
    "email": check_email,
    "new-password": lambda text: check_new_password(text, minimum=MINIMUM, context=()),
}
TEXTS = (
    *(
        "ann",
        "an",
        "a" * 32,
        "a" * 33,
        "Ann.B_c-9",
        ".ann",
        "-an",
        "ann lee",
        "änn",
        "ａｎｎ",
        "ann!",
    ),
    *("ann@example.com", "ann@localhost", "ann@host", "ann@", "@b.c", "a@b@c.de", "ann@a..de"),
    *(
        "ann@ex。com",
        "ann@ex．com",
        "ann@ex.com.",
        "ann@münchen.de",
        "a@1.2.3.4",
        f"{'a' * 250}@b.de",
    ),
    *(
        "eight wild swans",
        "short",
        "x" * 9,
        "é" * 10,
        "e\u0301" * 9,
        "correct " * 40,
        "😀🐎🔋📎🌻🍀🎈🎲⛵🧵",
    ),
    *(text for text in NAUGHTY if text.isprintable()),
)


def fault_of(kind: str, text: str) -> str:
    """Say what the page's script says (`faultOf` in `page.js`)."""
    if kind == "new-password":
        seen = unicodedata.normalize("NFC", text)
    else:
        seen = unicodedata.normalize("NFKC", text).strip()
    flags = re.IGNORECASE | re.DOTALL
    for hint in hints_of(MINIMUM)[kind]:
        fits = hint.least <= len(seen) <= hint.most
        if not fits or re.fullmatch(hint.pattern, seen, flags) is None:
            return hint.says
    return ""


def refused_for(kind: str, text: str) -> set[str]:
    """Return the sentences of the server's refusal of a text; empty if it is accepted."""
    try:
        CHECKS[kind](text if kind == "new-password" else text.strip())
    except Refusal as refusal:
        return {refusal.message, refusal.sentence}
    return set()


@pytest.mark.parametrize("kind", CHECKS)
def test_a_hint_is_never_stricter_than_the_server(kind: str) -> None:
    """And says the same, except about characters that the page folds into several."""
    for text in TEXTS:
        told, refused = fault_of(kind, text), refused_for(kind, text)
        assert not told or refused, ascii(text)
        if told and text.isascii():
            assert told in refused, text


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("username", "an"),
        ("username", "a" * 33),
        ("username", "ann lee"),
        ("username", "änn"),
        ("email", "ann"),
        ("email", "ann@host"),
        ("new-password", "x" * 9),
        ("new-password", "correct " * (MAX_CHARACTERS // 8) + "!"),
    ],
)
def test_what_people_get_wrong_is_said_as_they_type(kind: str, text: str) -> None:
    assert fault_of(kind, text)


@pytest.mark.parametrize("settings", [{"password_minimum": 12}], indirect=True)
async def test_the_page_has_the_rules_of_this_server_in_its_language(reader: Reader) -> None:
    reader.headers["Accept-Language"] = "de"
    page = await reader.open("/sign-up")

    rules = json.loads(page.one(".//input[@id='password']").attrib["data-rules"])
    assert (rules[0]["least"], rules[0]["says"]) == (12, "Nehmen Sie mindestens 12 Zeichen.")
    assert "data-rules" not in (await reader.open("/sign-in")).response.text.partition("<script")[0]


# The language


async def test_a_reader_chooses_a_language_which_the_browser_keeps(reader: Reader) -> None:
    page = await reader.open("/sign-up?next=/account")
    (german,) = [link for link in page.links if link.endswith("language=de")]
    assert (await reader.open(german)).heading == "Konto anlegen"
    assert (await reader.open("/")).tree.attrib["lang"] == "de"
    await reader.send("/sign-up", username="ann", email="ann@example.com", password=PASSWORD)

    home = await reader.send("/sign-out")
    assert (home.notice, home.tree.attrib["lang"]) == ("Sie sind abgemeldet.", "de")
    assert (await reader.open("/?language=en")).tree.attrib["lang"] == "en-GB"


async def test_the_choice_outlives_a_sign_out_that_deletes_all_cookies(reader: Reader) -> None:
    await reader.sign_up("ann")
    await reader.open("/?language=de")
    response = await reader.post("/sign-out", {})
    reader.client.cookies.clear()

    await reader.open(response.headers["location"])
    assert (await reader.open("/sign-in")).heading == "Anmelden"


async def test_links_to_another_language_stay_on_this_page_and_this_server(reader: Reader) -> None:
    for path in ("/nowhere?a=b", "//evil.example/x", f"/{'a' * 3000}", "/?language=xx"):
        page = await reader.open(path)
        links = [link for link in page.links if "language=" in link]
        assert len(links) == 2
        assert all(link.startswith("/") and not link.startswith("//") for link in links)


@pytest.mark.parametrize("settings", [{"language": "de"}], indirect=True)
async def test_where_the_operator_chose_the_language_there_is_no_choice(reader: Reader) -> None:
    page = await reader.open("/sign-in?language=en")

    assert page.heading == "Anmelden"
    assert not any("language=" in link for link in page.links)


# The start page of a new server


async def test_a_new_server_says_that_it_has_no_administrator(reader: Reader, house: House) -> None:
    """And where the link is; it shows no link itself."""
    home = await reader.open("/")
    assert "There is no administrator yet" in home.text
    assert "in its terminal" in home.text
    assert not any("setup" in link for link in home.links)

    user = await reader.sign_up("ann")
    assert "no administrator" not in user.text, "only who may be about to set it up is told"
    await reader.send("/sign-out")
    await house.accounts.grant(await house.accounts.get_by_username("ann"), "admin", COMMAND)
    assert "no administrator" not in (await reader.open("/")).text


async def test_the_start_page_needs_no_database(reader: Reader, house: House) -> None:
    await house.stores.database.stop()
    try:
        assert (await reader.open("/")).status == 200
    finally:
        await house.stores.database.start()


# Devices and times


def test_a_device_has_the_drawing_of_its_kind() -> None:
    for user_agent, kind in (
        ("Mozilla/5.0 (X11; Linux x86_64; rv:131.0) Gecko/20100101 Firefox/131.0", "computer"),
        ("Mozilla/5.0 (iPhone; CPU iPhone OS 17_5) Version/17.5 Safari/604.1", "phone"),
        ("Mozilla/5.0 (iPad; CPU OS 17_5) Version/17.5 Safari/604.1", "tablet"),
        ("okhttp/4.12.0", "phone"),
        ("curl/8.5.0", "program"),
        ("Windows NT 10.0", "computer"),
        ("", "computer"),
    ):
        assert device_kind(user_agent) == kind, user_agent


async def test_devices_say_how_long_ago_and_exactly_when(reader: Reader, clock: FakeClock) -> None:
    await reader.sign_up("ann")
    first = clock.now()
    assert "signed in just now" in (await reader.open("/account")).text
    clock.advance(timedelta(hours=2))

    account = await reader.open("/account")
    assert "signed in 2 hours ago" in account.text
    assert 'title="4 May 2026, 12:00:00 UTC">2 hours ago</time>' in account.response.text
    assert str(language_for("de").ago(first, clock.now())).endswith(">vor 2 Stunden</time>")
    assert ">just now<" in str(language_for("").ago(clock.now() + timedelta(1), clock.now()))
