"""Breached passwords on the pages: refused beside the field, and a notice after the sign-in."""

from pathlib import Path

import pytest

from gatelodge.accounts.service import NewUser
from gatelodge.app import House
from gatelodge.audit import COMMAND
from tests.pages.reader import Reader
from tests.support.breached import import_text, line

BREACHED = "iloveyou2025"
NOTICE = (
    "Your password is in a list of passwords that were stolen from other sites. Please change it."
)


@pytest.fixture
def breached(house: House) -> Path:
    """Return where the list will be."""
    return house.settings.breached_file


async def test_a_sign_up_is_told_beside_the_field(reader: Reader, breached: Path) -> None:
    import_text(line(BREACHED), breached)

    page = await reader.sign_up("ann", BREACHED)

    assert (page.status, page.focused) == (400, "password")
    assert page.problem("password").startswith("That password is in a list of passwords")
    assert page.form("/sign-up")["username"] == "ann"
    assert (await reader.sign_up("ann")).status == 200


async def test_whoever_signs_in_with_one_is_told_once(
    reader: Reader, house: House, breached: Path
) -> None:
    await house.accounts.create(NewUser("ann", "ann@example.com", BREACHED), COMMAND)
    import_text(line(BREACHED), breached)

    page = await reader.fill_in("/sign-in", username="ann", password=BREACHED)

    assert (page.status, page.notice) == (200, NOTICE)
    assert (await reader.open("/")).notice == ""
