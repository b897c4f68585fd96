"""The JSON routes for letters. None shows a link, a code or another value of a letter."""

from datetime import datetime
from typing import Annotated

from fastapi import Query
from pydantic import Field

from gatelodge.admin.doors import By, Number, number_of
from gatelodge.admin.letters import LetterAdministration, advice_on
from gatelodge.admin.rules import MANAGE_LETTERS
from gatelodge.letters.refusals import LetterBeingSent, NoSuchLetter
from gatelodge.letters.store import Letter, LetterState
from gatelodge.web.bodies import Answer
from gatelodge.web.described import Description
from gatelodge.web.door import Door
from gatelodge.web.paging import Cursor, Limit, from_cursor, to_cursor
from gatelodge.web.services import Provided

door = Door("/api/admin/letters", tag="admin")

Service = Annotated[LetterAdministration, Provided(LetterAdministration)]


class LetterShown(Answer):
    """A letter, without what is written in it."""

    id: str
    kind: str = Field(description="What it is about; also the name of its template.")
    to: str = Field(description="The address; empty if the letter was dropped.")
    state: LetterState
    created_at: datetime = Field(description="When it was asked for.")
    due_at: datetime | None = Field(default=None, description="If it waits: when it is tried next.")
    ended_at: datetime | None = Field(
        default=None, description="When it was sent, given up or dropped."
    )
    tries: int
    error: str = Field(description="Why it could not be sent the last time, or empty.")
    advice: str | None = Field(
        default=None, description="What to do about the error, where we can tell."
    )
    language: str | None = None
    user: str | None = Field(
        default=None, description="The id of the user whom it is about, if it is one."
    )
    message_id: str = Field(description="The `Message-ID` by which a mail server knows it.")


class LettersAnswer(Answer):
    """A page of letters, the newest first."""

    items: list[LetterShown]
    next: str | None = None
    waiting: Number = Field(description="How many letters wait, whatever was asked for.")
    given_up: Number = Field(description="How many letters were given up.")


_ID = "ltr_06f4h2k9c0q1v8d3n5b7t2m4s6r8p0a1e3gg"
_LETTER = {
    "id": _ID,
    "kind": "reset",
    "to": "ann@example.com",
    "state": "given_up",
    "createdAt": "2026-01-31T12:00:00Z",
    "dueAt": None,
    "endedAt": "2026-01-31T12:00:02Z",
    "tries": 1,
    "error": "550 5.1.1 No such user",
    "advice": "The mail server refuses this letter or its address for good; its words say why. …",
    "language": "en",
    "user": "usr_06f4h2k9c0q1v8d3n5b7t2m4s6r8p0a1e3gg",
    "messageId": f"{_ID}@example.com",
}


@door.get(
    "",
    rule=MANAGE_LETTERS,
    told=Description(
        "List letters",
        gives={
            "items": [_LETTER],
            "next": None,
            "waiting": {"number": 0, "exact": True},
            "givenUp": {"number": 1, "exact": True},
        },
    ),
    repeatable=("state",),
)
async def list_letters(
    service: Service,
    state: Annotated[
        list[LetterState] | None,
        Query(max_length=4, description="Only letters in this state; may be repeated."),
    ] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> LettersAnswer:
    """List letters, the newest first. Those that have ended are kept for a week.

    Up to 1,000 letters of a state are counted.
    """
    found = await service.list_letters(state or (), before=from_cursor(cursor), limit=limit + 1)
    shown = found[:limit]
    waiting, given_up = await service.count("waiting"), await service.count("given_up")
    return LettersAnswer(
        items=[_shown(each) for each in shown],
        next=to_cursor(shown[-1].id) if len(found) > limit else None,
        waiting=number_of(waiting),
        given_up=number_of(given_up),
    )


@door.get(
    "/{letter_id}",
    rule=MANAGE_LETTERS,
    told=Description("See a letter", gives=_LETTER),
    refuses=(NoSuchLetter,),
)
async def get_letter(letter_id: str, service: Service) -> LetterShown:
    """Return a letter, but nothing of what is written in it."""
    return _shown(await service.get(letter_id))


@door.post(
    "/{letter_id}/retry",
    rule=MANAGE_LETTERS,
    told=Description(
        "Send a letter again",
        gives=_LETTER | {"state": "waiting", "dueAt": "2026-01-31T12:05:00Z", "endedAt": None},
    ),
    refuses=(NoSuchLetter, LetterBeingSent),
)
async def retry(letter_id: str, by: By, service: Service) -> LetterShown:
    """Send a letter that waits, or was given up, as soon as possible; not one being sent now."""
    return _shown(await service.retry(letter_id, by))


def _shown(letter: Letter) -> LetterShown:
    return LetterShown(
        id=letter.id,
        kind=letter.kind,
        to=letter.to,
        state=letter.state,
        created_at=letter.created_at,
        due_at=letter.due_at if letter.state == "waiting" else None,
        ended_at=letter.ended_at,
        tries=letter.claims,
        error=letter.error,
        advice=advice_on(letter.error) or None,
        language=letter.language,
        user=letter.user_id,
        message_id=letter.message_id,
    )
