"""The pages of letters: what waits, what was sent, and what was given up and why."""

from collections.abc import Mapping

from starlette.responses import Response

from gatelodge.accounts.search import Count
from gatelodge.admin.doors import administrator, page
from gatelodge.admin.letters import LetterAdministration, advice_on
from gatelodge.admin.rules import MANAGE_LETTERS
from gatelodge.letters.store import Letter, LetterState
from gatelodge.marks import N_
from gatelodge.pages.door import PageDoor, Visit
from gatelodge.pages.forms import Field
from gatelodge.web.paging import from_cursor, to_cursor

door = PageDoor()

LETTERS = "/admin/letters"
LETTER = f"{LETTERS}/letter"

ON_A_PAGE = 25
"""How many letters a page shows."""

_LETTER = Field("letter", missing=N_("Choose a letter."))

STATES: Mapping[LetterState, str] = {
    "waiting": N_("waiting"),
    "given_up": N_("given up"),
    "sent": N_("sent"),
    "dropped": N_("dropped"),
}
"""What the states are called."""

KINDS: Mapping[str, str] = {
    "account-deleted": N_("Account deleted"),
    "account-disabled": N_("Account was disabled"),
    "account-enabled": N_("Account was enabled"),
    "email-change": N_("Another address"),
    "email-changed": N_("Address was changed"),
    "email-replaced": N_("Address was changed, to the former one"),
    "email-set": N_("Address was set by an administrator"),
    "factor-added": N_("Second factor added"),
    "factor-removed": N_("Second factor removed"),
    "factors-reset": N_("Second factors reset"),
    "invitation": N_("Invitation"),
    "invitation-accepted": N_("Invitation accepted"),
    "new-device": N_("Sign-in on a new device"),
    "password-breached": N_("Password in a list of stolen ones"),
    "password-changed": N_("Password was changed"),
    "password-required": N_("New password required"),
    "recovery-code-used": N_("Recovery code used"),
    "recovery-codes-made": N_("New recovery codes"),
    "refresh-token-reused": N_("Session may have been copied"),
    "reset-password": N_("New password"),
    "role-granted": N_("New role"),
    "set-password": N_("First password"),
    "sign-in-code": N_("Code to sign in"),
    "sign-up": N_("Address of a sign-up"),
    "sign-up-known-address": N_("Sign-up with a known address"),
    "test": N_("Test"),
    "username-changed": N_("Username was changed by an administrator"),
    "verify-email": N_("Verify an address"),
}
"""What the letters are called, by their templates; others are called as their template."""


@door.get(LETTERS, rule=MANAGE_LETTERS)
async def show_letters(visit: Visit) -> Response:
    """List letters, the newest first; all, or those in one state."""
    service, query = visit.ask(LetterAdministration), visit.request.query_params
    state = next((each for each in STATES if each == query.get("state")), None)
    found = await service.list_letters(
        () if state is None else (state,),
        before=from_cursor(query.get("before")),
        limit=ON_A_PAGE + 1,
    )
    shown = found[:ON_A_PAGE]
    counts = {each: await service.count(each) for each in ("waiting", "given_up")}
    return page(
        visit,
        "letters.html",
        letters=shown,
        state=state or "",
        states=STATES,
        kinds=KINDS,
        advice=advice_on,
        counts={name: _told(visit, each) for name, each in counts.items()},
        before=to_cursor(shown[-1].id) if len(found) > ON_A_PAGE else "",
        is_first="before" not in query,
    )


@door.get(LETTER, rule=MANAGE_LETTERS, answers=404)
async def show_letter(visit: Visit) -> Response:
    """Show one letter, but nothing of what is written in it."""
    letter = await _asked(visit)
    return page(
        visit,
        "letter.html",
        letter=letter,
        kind=KINDS.get(letter.kind, letter.kind),
        state=STATES[letter.state],
        advice=advice_on(letter.error),
    )


@door.post(LETTER, rule=MANAGE_LETTERS, fields=(_LETTER,), again=show_letter, answers=404)
async def retry(visit: Visit) -> Response:
    """Send a letter that waits, or was given up, as soon as possible."""
    letter = await visit.ask(LetterAdministration).retry(visit.form["letter"], administrator(visit))
    return visit.go(f"{LETTER}?letter={letter.id}", done="letter-retried")


async def _asked(visit: Visit) -> Letter:
    """Return the letter that the form names, or the address.

    Raises:
        NoSuchLetter: there is none.
    """
    asked = visit.form.values.get("letter") or visit.request.query_params.get("letter", "")
    return await visit.ask(LetterAdministration).get(asked)


def _told(visit: Visit, count: Count) -> str:
    if not count.number:
        return ""
    return f"{visit.language.number(count.number)}{'' if count.exact else '+'}"
