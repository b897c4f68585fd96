"""Which language a reader gets, and that its catalogue is complete."""

import re
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from babel.messages.extract import extract_from_dir
from babel.messages.pofile import read_po

from gatelodge import i18n
from gatelodge.credentials.refusals import HashingBusy, RejectedPassword
from gatelodge.errors import Refusal
from gatelodge.i18n import LOCALES, READERS, language_for
from gatelodge.pages.wording import sentence_of
from gatelodge.palette import DARK_GROUND, LIGHT_GROUND, READABLE, Palette, contrast
from tests.pages.reader import Reader

HOUSE = Path(i18n.__file__).parent
OTHERS = list(READERS)[1:]


@pytest.mark.parametrize(
    ("accepted", "setting", "tag"),
    [
        ("", "", "en"),
        ("de", "", "de"),
        ("de-AT,de;q=0.9,en;q=0.8", "", "de-AT"),
        ("de-BE", "", "de"),
        ("fr-FR, fr;q=0.9, de;q=0.5, en;q=0.4", "", "de"),
        ("en;q=0.4, de;q=0.5", "", "de"),
        ("de;q=0, en-GB", "", "en-GB"),
        ("zh-Hant-TW", "", "en"),
        ("*", "", "en"),
        ("DE-at", "", "de-AT"),
        ("en-GB", "de", "de"),
        ("de-CH", "de", "de-CH"),
        ("de", "en", "en"),
        ("../../etc/passwd,;;;q=,de;q=9", "", "en"),
        ("de," * 1000, "", "de"),
    ],
)
def test_the_first_language_that_we_have_is_the_readers(
    accepted: str, setting: str, tag: str
) -> None:
    assert language_for(accepted, setting).tag == tag


async def test_a_page_speaks_the_readers_language(reader: Reader) -> None:
    """Texts, messages about fields, and dates are in that language."""
    reader.headers["Accept-Language"] = "de-AT"
    page = await reader.open("/sign-up")
    assert page.tree.attrib["lang"] == page.response.headers["content-language"] == "de-AT"
    assert page.heading == "Konto anlegen"

    refused = await reader.send(
        "/sign-up", username="ab", email="ann@example.com", password="x" * 9
    )
    assert refused.problem("username") == "Ein Benutzername hat 3 bis 32 Zeichen."
    await reader.sign_up("ann")
    account = await reader.open("/account")
    assert "04.05.2026, 12:00:00 UTC" in account.text

    reader.headers["Accept-Language"] = "en-GB"
    assert "4 May 2026, 12:00:00 UTC" in (await reader.open("/account")).text


@pytest.mark.parametrize("name", OTHERS)
def test_a_catalogue_has_every_text_and_no_other(name: str) -> None:
    """Otherwise a page would be partly in English."""
    with (LOCALES / name / "LC_MESSAGES" / "gatelodge.po").open("rb") as lines:
        catalogue = [each for each in read_po(lines, locale=name) if each.id]
    wanted = set(_texts()) | set(_refusals())

    assert [each.id for each in catalogue if each.fuzzy or not each.string] == []
    assert {str(each.id) for each in catalogue} == wanted
    for each in catalogue:
        filled = re.compile(r"%\(\w+\)s|\{\}")
        assert sorted(filled.findall(str(each.id))) == sorted(filled.findall(str(each.string)))


@pytest.mark.parametrize("name", OTHERS)
def test_a_catalogue_has_each_text_once(name: str) -> None:
    """Of two translations of one text, the reader of the catalogue silently leaves one out."""
    catalogue = (LOCALES / name / "LC_MESSAGES" / "gatelodge.po").read_text(encoding="utf-8")
    counted = Counter(re.findall(r'^msgid ((?:".*"\n)+)', catalogue, re.MULTILINE))
    assert len(counted) > 100
    assert [text for text, times in counted.items() if times > 1] == []


def _texts() -> Iterator[str]:
    """Yield every text that templates and code mark for translation."""
    found = extract_from_dir(
        HOUSE,
        [
            ("**/templates/**.html", "jinja2"),
            ("**/templates/**.txt", "jinja2"),
            ("**.py", "python"),
        ],
        keywords={"_": None, "N_": None},
    )
    yield from (text for _, _, text, _, _ in found if isinstance(text, str))


def _refusals() -> Iterator[str]:
    """Yield the refusals' messages that say more than their code, with `{}` for numbers."""
    for file in ("accounts/names.py", "credentials/passwords.py", "credentials/service.py"):
        text = re.sub(r'"\s+f?"', "", (HOUSE / file).read_text())
        for sentence in re.findall(r'f?"((?:Use|A username|A password c|That)[^"]*\.)"', text):
            if not sentence.startswith("A password hash"):
                yield re.sub(r"\{\w+\}|\d+", "{}", sentence)


def test_a_refusal_that_a_page_has_no_words_for_is_shown_as_it_is() -> None:
    assert sentence_of(RejectedPassword("No."), language_for("de")) == "No."
    assert sentence_of(Refusal(), language_for("de")) == Refusal.default


def test_a_refusal_says_for_how_long_it_stands() -> None:
    german = language_for("de")

    assert sentence_of(HashingBusy(retry_after=1), german).endswith("gleich noch einmal.")
    assert sentence_of(HashingBusy(retry_after=300), german).endswith(
        "Bitte versuchen Sie es in 5 Minuten noch einmal."
    )


def test_what_fills_a_text_is_escaped() -> None:
    text = language_for("de").text("Hello, %(name)s", name="<script>")

    assert str(text) == "Hallo, &lt;script&gt;"


def test_an_instant_is_for_machines_too() -> None:
    shown = language_for("en-US").time(datetime(2026, 5, 4, 12, 0, tzinfo=UTC))

    assert str(shown).startswith('<time datetime="2026-05-04T12:00:00Z">May 4, 2026, 12:00:00')


@pytest.mark.parametrize(
    "accent", ["#0b6e4f", "#ffffff", "#000000", "#ffdd00", "#ff0000", "#777777", "#0000ff"]
)
def test_every_accent_can_be_read(accent: str) -> None:
    """It is readable behind a button's text, and as text in both schemes (WCAG 2.2, 1.4.3)."""
    palette = Palette.of(accent)

    assert contrast(palette.on_accent, palette.accent) >= READABLE
    for ground in (LIGHT_GROUND, palette.soft_light):
        assert contrast(palette.light, ground) >= READABLE
    for ground in (DARK_GROUND, palette.soft_dark):
        assert contrast(palette.dark, ground) >= READABLE
    for ink, ground in (("#17201c", palette.soft_light), ("#e9eeeb", palette.soft_dark)):
        assert contrast(ink, ground) >= READABLE  # notices
