"""Who may read, write and delete notes, and who hears of them."""

import notes
import pytest
from starlette.websockets import WebSocketDisconnect

from gatelodge.testing import AsUser, Client, GatelodgeFixture, Travel


def test_only_people_who_are_signed_in_read_notes(as_user: AsUser, signed_out: Client) -> None:
    assert signed_out.get("/notes").status_code == 401
    assert as_user().get("/notes").json() == []


def test_a_browser_is_led_to_the_sign_in_page_and_back(signed_out: Client) -> None:
    answer = signed_out.get("/", headers={"Accept": "text/html"}, follow_redirects=False)

    assert answer.status_code == 303
    assert answer.headers["location"] == "/sign-in?next=/"


def test_a_browser_adds_a_note(as_user: AsUser) -> None:
    browser = as_user(cookies=True, name="Ada")

    assert "<h1>Notes</h1>" in browser.get("/").text
    assert browser.post("/notes", json={"text": "Hello"}).status_code == 201
    assert browser.get("/notes").json() == [{"id": 1, "text": "Hello", "author": "Ada"}]


def test_a_page_of_another_site_cannot_add_a_note(as_user: AsUser) -> None:
    browser = as_user(cookies=True)

    answer = browser.post(
        "/notes", json={"text": "Hello"}, headers={"Origin": "https://evil.example"}
    )

    assert answer.status_code == 403


def test_authors_and_moderators_delete_notes(as_user: AsUser) -> None:
    ada, bob, moderator = as_user(), as_user(), as_user(role="moderator")
    first, second = (ada.post("/notes", json={"text": text}).json()["id"] for text in "ab")

    assert bob.delete(f"/notes/{first}").status_code == 403
    assert ada.delete(f"/notes/{first}").status_code == 204
    assert moderator.delete(f"/notes/{second}").status_code == 204
    assert moderator.delete(f"/notes/{second}").status_code == 404


def test_who_lost_the_role_deletes_nothing(as_user: AsUser, gatelodge: GatelodgeFixture) -> None:
    moderator = as_user(role="moderator")
    number = as_user().post("/notes", json={"text": "Hello"}).json()["id"]

    gatelodge.take(moderator, "moderator")

    assert moderator.delete(f"/notes/{number}").status_code == 403


def test_everybody_hears_of_new_notes_until_they_are_signed_out(
    as_user: AsUser, gatelodge: GatelodgeFixture
) -> None:
    ada, bob = as_user(name="Ada"), as_user()
    with bob.websocket_connect("/live") as live:
        ada.post("/notes", json={"text": "Hello"})
        assert live.receive_json() == {"id": 1, "text": "Hello", "author": "Ada"}

        gatelodge.revoke(bob)

        with pytest.raises(WebSocketDisconnect) as closed:
            live.receive_json()
    assert closed.value.code == 4401


def test_nobody_is_told_who_has_left(as_user: AsUser) -> None:
    ada = as_user()
    with ada.websocket_connect("/live") as page:
        assert len(notes.live.listeners) == 1
        page.close()
        ada.get("/notes")  # meanwhile the application hears of it

        assert notes.live.listeners == set()


def test_a_browser_stays_signed_in_for_days(as_user: AsUser, travel: Travel) -> None:
    browser = as_user(cookies=True)
    for _ in range(2):
        travel(days=10)
        assert browser.get("/notes").is_success
